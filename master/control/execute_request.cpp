// Master. From requests to commands.
#include "master/control/execute_request.hpp"

#include <boost/json/serialize.hpp>
#include <exception>
#include <utility>

#include "common/error.hpp"
#include "common/log.hpp"

namespace baton {
namespace {

bool is_of_state(VerbAction action) {
  return action >= VerbAction::state_list;
}

bool is_command(VerbAction action) {
  return action == VerbAction::scale || action == VerbAction::reload || action == VerbAction::stop ||
         action == VerbAction::send;
}

void call(Commands& commands, const ControlRequest& request, Done done) {
  if (request.action == VerbAction::scale) return commands.scale(request.amount, std::move(done));
  if (request.action == VerbAction::reload) return commands.reload(std::move(done));
  if (request.action == VerbAction::send)
    return commands.send(request.to, request.message, request.time_limit, std::move(done));
  commands.stop(std::move(done));
}

}  // namespace

bool is_stream(const ControlRequest& request) {
  return request.action == VerbAction::events || request.watch;
}

bool is_awaited(const ControlRequest& request) {
  return is_command(request.action) && request.wait;
}

std::optional<Reply> execute(const ControlRequest& request, Commands& commands, Audience audience, Done done) {
  try {
    if (request.action == VerbAction::list) return Reply{200, verbs_json(audience), ""};
    if (is_of_state(request.action)) return Reply{200, commands.carry_out(request.operation), ""};
    if (request.action == VerbAction::status) return Reply{200, boost::json::serialize(commands.status()), ""};
    if (!request.wait) {
      call(commands, request, [](const Outcome&) {});
      return reply_with(202, true, "accepted");
    }
    call(commands, request, std::move(done));
    return std::nullopt;
  } catch (const state::Refusal& refusal) {
    return reply_of(refusal);
  } catch (const UsageError& error) {
    return reply_with(400, false, error.what());
  } catch (const std::exception& error) {
    log::error("{} asked for on the control socket: {}", request.action == VerbAction::status ? "status" : "a command",
               error.what());
    return reply_with(503, false, error.what());
  }
}

}  // namespace baton
