// Master. The files that workers' lines go to: opened again after a rotation, and written out at the end.
#pragma once

#include "master/process/process_table.hpp"
#include "master/settings/generations.hpp"

namespace baton {

/// Opens each again, for all generations that write. A file that can't be opened goes on as it is, and is told of.
void reopen_output(const Generations& generations, const ProcessTable& processes);

/// Once nobody writes any more: what waits for a slow reader gets a second, or it would keep the loop from its end.
void finish_output(const Generations& generations, ProcessTable& processes);

}  // namespace baton
