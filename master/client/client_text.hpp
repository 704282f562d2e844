// Client. What a person reads: the status as a table, an event as a line, progress as a bar. Pure: no system calls.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>

namespace baton {

/// The header line, the listeners, and a line for each worker.
std::string status_text(const boost::json::object& status, bool colours);

/// "2026-11-23T07:46:13.001Z worker_ready worker 2 pid 77 ready\n"
std::string event_text(const boost::json::object& event);

/// "[######--------] 3 of 7"
std::string bar_text(std::int64_t done, std::int64_t of);

/// "12 s", "5 min 3 s", "2 h 4 min", "3 d 4 h"
std::string age_text(std::int64_t milliseconds);
/// "812 B", "3.0 MiB"
std::string size_text(std::int64_t bytes);

/// A member as text, and nothing that a terminal would obey; "-" where there is none.
std::string member_text(const boost::json::object& object, const char* name);
std::int64_t member_number(const boost::json::object& object, const char* name, std::int64_t otherwise);

}  // namespace baton
