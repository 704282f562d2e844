// Master. The weights.
#include "master/policy/source.hpp"

namespace baton {
namespace {

std::uint64_t fnv_1a(const ClientAddress& client) {
  constexpr std::uint64_t offset_basis = 0xcbf29ce484222325;
  constexpr std::uint64_t prime = 0x100000001b3;
  std::uint64_t hash = offset_basis;
  for (const std::uint8_t byte : client.bytes) hash = (hash ^ byte) * prime;
  return hash;
}

/// Every bit of the result depends on every bit given.
std::uint64_t mixed(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}

std::uint64_t weight_of(std::uint64_t address_hash, unsigned number) {
  constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;
  return mixed(address_hash + number * golden);
}

}  // namespace

std::uint64_t weight(const ClientAddress& client, unsigned number) {
  return weight_of(fnv_1a(client), number);
}

std::size_t Source::choose(std::span<const Candidate> candidates, const ClientAddress& client) {
  const std::uint64_t hash = fnv_1a(client);
  std::size_t chosen = 0;
  std::uint64_t heaviest = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    // Of two of one number, the later one: it is the successor.
    const std::uint64_t its = weight_of(hash, candidates[i].number);
    if (its < heaviest) continue;
    heaviest = its;
    chosen = i;
  }
  return chosen;
}

}  // namespace baton
