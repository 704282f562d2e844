// Master. What a master is called where nobody has named it: by its first address, or else by its program. Pure.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace baton {

/// "app.js-4711" for `node app.js` in process 4711: for a master without an address of its own.
std::string name_of_program(const std::vector<std::string>& command, pid_t process);

/// `given`, or `address`, or the program's name, whichever is the first that is not empty.
std::string master_name(const std::string& given, const std::string& address, const std::vector<std::string>& command,
                        pid_t process);

}  // namespace baton
