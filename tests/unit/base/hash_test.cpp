// hash_test.cpp - the hash of stored data is XXH3, bit by bit: another one would lose every object of a segment.
// SPDX-License-Identifier: BSL-1.0
#include "base/hash.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace hash_test {

using namespace cairn::detail;

namespace {

constexpr std::uint64_t prime64 = 0x9e3779b185ebca8d;

// The bytes of xxHash's own sanity test, which its published values are of.
std::vector<unsigned char> sanity_bytes(std::size_t count) {
    std::vector<unsigned char> bytes(count);
    std::uint64_t generator = 0x9e3779b1;
    for (unsigned char& byte : bytes) {
        byte = static_cast<unsigned char>(generator >> 56);
        generator *= prime64;
    }
    return bytes;
}

struct known_value {
    std::size_t bytes;
    std::uint64_t seed;
    std::uint64_t hash;
};

}  // namespace

TEST_CASE("hashes are the published values of XXH3, for each of its ways to treat a length") {
    constexpr known_value known[] = {
        {0, 0, 0x2d06800538d394c2},          // empty
        {0, prime64, 0xa8a6b918b2f0364a},    //
        {1, 0, 0xc44bdff4074eecdb},          // 1 to 3 bytes
        {1, prime64, 0x032be332dd766ef8},    //
        {6, 0, 0x27b56a84cd2d7325},          // 4 to 8
        {6, prime64, 0x84589c116ab59ab9},    //
        {12, 0, 0xa713daf0dfbb77e7},         // 9 to 16
        {12, prime64, 0xe7303e1b2336de0e},   //
        {24, 0, 0xa3fe70bf9d3510eb},         // 17 to 128
        {24, prime64, 0x850e80fc35bdd690},   //
        {80, 0, 0xbcdefbbb2c47c90a},         //
        {80, prime64, 0xc6dd0cb699532e73},   //
        {195, 0, 0xcd94217ee362ec3a},        // 129 to 240
        {195, prime64, 0xba68003d370cb3d9},  //
        {403, 0, 0xcdeb804d65c6dea4},        // longer than that: by stripes
        {403, prime64, 0x6259f6ecfd6443fd},  //
        {2048, 0, 0xdd59e2c3a5f038e0},       // whole blocks
        {2048, prime64, 0x66f81670669ababc},
    };
    for (const known_value& each : known) {
        CAPTURE(each.bytes);
        CAPTURE(each.seed);
        const std::vector<unsigned char> data = sanity_bytes(each.bytes);
        CHECK(hash_bytes(data.data(), data.size(), each.seed) == each.hash);
    }
}

TEST_CASE("the hash does not depend on where the bytes lie") {
    const std::vector<unsigned char> data = sanity_bytes(300);
    std::vector<unsigned char> elsewhere(400);
    for (std::size_t offset = 1; offset < 16; ++offset) {
        std::copy(data.begin(), data.end(), elsewhere.begin() + static_cast<std::ptrdiff_t>(offset));
        CHECK(hash_bytes(elsewhere.data() + offset, data.size(), 7) ==
              hash_bytes(data.data(), data.size(), 7));
    }
}

TEST_CASE("every byte, the length and the seed count") {
    std::vector<unsigned char> data = sanity_bytes(300);
    std::set<std::uint64_t> seen = {hash_bytes(data.data(), data.size(), 0)};
    for (unsigned char& byte : data) {
        byte ^= 1;
        CHECK(seen.insert(hash_bytes(data.data(), data.size(), 0)).second);
        byte ^= 1;
    }
    for (std::size_t shorter = 0; shorter < data.size(); ++shorter)
        CHECK(seen.insert(hash_bytes(data.data(), shorter, 0)).second);
    for (std::uint64_t seed = 1; seed < 10; ++seed)
        CHECK(seen.insert(hash_bytes(data.data(), data.size(), seed)).second);
}

TEST_CASE("the algorithm's number is the one that segments have recorded") {
    static_assert(hash_algorithm_xxh3 == 1);  // format 1
}

}  // namespace hash_test
