// Any program that is to be a worker: all that it includes, installed as <baton/worker.hpp>. How to use it is in
// docs/library.md; link it as baton::worker.
//
// What is compiled into the archive knows no Asio, and what of Asio there is stands in these headers, which are
// compiled with the program's own settings of Asio.
#pragma once

#include "worker/adopted_socket.hpp"
#include "worker/fair_acceptor.hpp"
#include "worker/membership.hpp"
