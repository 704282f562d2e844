// Master. What replies say, and their HTTP.
#include "master/control/reply.hpp"

#include <fmt/format.h>

#include <boost/beast/http/status.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "common/text.hpp"

namespace baton {
namespace {

namespace http = boost::beast::http;
namespace json = boost::json;

unsigned status_of(state::Problem problem) {
  switch (problem) {
    case state::Problem::missing:
      return 404;
    case state::Problem::conflict:
      return 409;
    case state::Problem::malformed:
      return 400;
    case state::Problem::too_large:
      return 413;
    case state::Problem::broken:
      break;
  }
  return 503;
}

}  // namespace

Reply reply_with(unsigned status, bool ok, std::string_view message) {
  return {status, json::serialize(json::object{{"ok", ok}, {"message", message}}), ""};
}

Reply reply_of(const Outcome& outcome) {
  const unsigned status = outcome.ok ? 200 : outcome.code == "too_large" ? 413 : 409;
  Reply reply = reply_with(status, outcome.ok, outcome.message);
  if (outcome.reply.empty() && outcome.code.empty()) return reply;
  reply.body.pop_back();
  if (!outcome.code.empty()) reply.body += fmt::format(R"(,"code":"{}")", outcome.code);
  if (!outcome.reply.empty()) reply.body += fmt::format(R"(,"reply":{})", outcome.reply);
  reply.body += '}';
  return reply;
}

Reply reply_of(const state::Refusal& refusal) {
  return {status_of(refusal.problem), fmt::format(R"({{"ok":false,{}}})", state::describe(refusal)), ""};
}

void append_http(std::string& text, const Reply& reply, const ReplyForm& form) {
  std::string_view connection;
  if (!form.keeps_alive && !form.is_old) connection = "Connection: close\r\n";
  if (form.keeps_alive && form.is_old) connection = "Connection: keep-alive\r\n";
  const boost::beast::string_view reason = http::obsolete_reason(static_cast<http::status>(reply.status));
  append(text, {form.is_old ? "HTTP/1.0 " : "HTTP/1.1 ",
                fmt::format_int(reply.status).str(),
                " ",
                {reason.data(), reason.size()},
                "\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"});
  if (!reply.allow.empty()) append(text, {"Allow: ", reply.allow, "\r\n"});
  append(text, {connection, "Content-Length: ", fmt::format_int(reply.body.size() + 1).str(), "\r\n\r\n"});
  if (form.has_body) append(text, {reply.body, "\n"});
}

}  // namespace baton
