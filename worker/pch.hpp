// Precompiled: the worker's heavy headers.
#pragma once

#include "common/pch.hpp"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/intrusive/list.hpp>
