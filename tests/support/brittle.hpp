// brittle.hpp - an element type with a codec of the user's, whose decode() tells the test when it runs, and may throw.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <compare>
#include <functional>
#include <new>
#include <span>
#include <string>
#include <utility>

#include <cairn/codec.hpp>

namespace cairn_test {

struct brittle {
    std::string text;

    friend auto operator<=>(const brittle&, const brittle&) = default;
};

/// What decode() of this thread does first; nothing when it is empty.
inline std::function<void()>& on_decoding() {
    static thread_local std::function<void()> action;
    return action;
}

/// While it lives, decode() of this thread calls that.
class while_decoding {
public:
    explicit while_decoding(std::function<void()> action) { on_decoding() = std::move(action); }
    while_decoding(const while_decoding&) = delete;
    while_decoding& operator=(const while_decoding&) = delete;
    ~while_decoding() { on_decoding() = nullptr; }
};

}  // namespace cairn_test

template <>
struct cairn::codec<cairn_test::brittle> {
    static std::string type_name() { return "brittle"; }
    static std::size_t size(const cairn_test::brittle& value) { return value.text.size(); }
    static void encode(const cairn_test::brittle& value, std::byte* to) {
        codec<std::string>::encode(value.text, to);
    }
    static cairn_test::brittle decode(std::span<const std::byte> bytes) {
        if (const auto action = cairn_test::on_decoding()) action();
        return {codec<std::string>::decode(bytes)};
    }
};
