// values.hpp - element types of tests, made from a number, which prove themselves whole.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace cairn_test {

/// A struct of `Words` words, each a function of the first one: half of one value beside half of another shows.
template <std::size_t Words>
struct pattern {
    std::uint64_t words[Words];

    friend bool operator==(const pattern& a, const pattern& b) {
        for (std::size_t i = 0; i < Words; ++i)
            if (a.words[i] != b.words[i]) return false;
        return true;
    }
    friend bool operator<(const pattern& a, const pattern& b) { return a.words[0] < b.words[0]; }
    friend std::ostream& operator<<(std::ostream& to, const pattern& p) {
        return to << "pattern " << p.words[0];
    }
};
using small_struct = pattern<3>;   // 24 bytes
using large_struct = pattern<32>;  // 256 bytes: the largest that is stored in place
using blob_struct = pattern<40>;   // 320 bytes: stored as a blob

template <typename T>
struct value_of {
    static T make(std::uint64_t n) { return static_cast<T>(n); }
    static bool is_whole(const T&) { return true; }
};

template <std::size_t Words>
struct value_of<pattern<Words>> {
    static pattern<Words> make(std::uint64_t n) {
        pattern<Words> p{};
        for (std::size_t i = 0; i < Words; ++i) p.words[i] = n * (i + 1) + i;
        return p;
    }
    static bool is_whole(const pattern<Words>& p) { return p == make(p.words[0]); }
};

template <>
struct value_of<std::string> {
    static std::string make(std::uint64_t n) {
        // Lengths around what fits a slot, and now and then a block of its own.
        const std::size_t length = n % 97 == 0 ? 5000 + n % 9000 : n % 41;
        std::string text = std::to_string(n) + ":";
        while (text.size() < length) text += static_cast<char>('a' + (n + text.size()) % 26);
        return text;
    }
    static bool is_whole(const std::string& text) { return text == make(std::stoull(text)); }
};

template <>
struct value_of<std::vector<int>> {
    static std::vector<int> make(std::uint64_t n) {
        std::vector<int> v(n % 89 == 0 ? 3000 : n % 7 + 1);
        for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<int>(n + i);
        return v;
    }
    static bool is_whole(const std::vector<int>& v) {
        return !v.empty() && v == make(static_cast<std::uint64_t>(v.front()));
    }
};

}  // namespace cairn_test
