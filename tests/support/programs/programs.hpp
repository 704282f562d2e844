// Process and interop tests. The programs under test: of this build, or of the directory that BATON_TESTED_BUILD names,
// such as a sanitizer's. What drives them from outside need not be built for it.
#pragma once

#include <string>

namespace baton::test::programs {

std::string baton();
std::string odd_worker();         ///< breaks the channel's rules
std::string foreign_worker();     ///< serves, and breaks others
std::string handed_worker();      ///< is handed connections
std::string inheriting_worker();  ///< has its listener from the start
std::string asio_worker();        ///< serves with the fair acceptor, without a master
std::string adding_worker();      ///< counts in the shared state, through the library
std::string example();            ///< examples/asio_worker, built with what is installed

/// Whether they were built with a sanitizer, which costs time and memory.
bool are_sanitized();
/// How often to do what takes a process each time: as often, or a fifth of it where they are sanitized.
int rounds(int usual);

}  // namespace baton::test::programs
