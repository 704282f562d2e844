// Any test. Ports that have to be known before they are listened on.
#pragma once

namespace baton::test {

/// `count` TCP ports in a row, at most 10, that are free on 127.0.0.1: the first one. They lie below those that the
/// kernel gives to connections, and each process has others, so that nobody takes them in between.
int free_ports(int count);

}  // namespace baton::test
