// words_test.cpp - copies into and out of shared memory: every size, every alignment that is allowed, no byte beside it.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <cairn/detail/base/words.hpp>

namespace words_test {

using namespace cairn::detail;

namespace {

constexpr std::size_t room = 400;
constexpr std::size_t margin = 64;
constexpr unsigned char untouched = 0xa5;

using bytes = std::array<unsigned char, room>;

bytes pattern() {
    bytes b;
    std::iota(b.begin(), b.end(), static_cast<unsigned char>(1));
    return b;
}

// Memory as in a segment: aligned, and with bytes around it that belong to others.
struct shared_memory {
    alignas(64) bytes all;
    shared_memory() { all.fill(untouched); }
    [[nodiscard]] unsigned char* at(std::size_t offset) { return all.data() + margin + offset; }
    [[nodiscard]] bool untouched_but(std::size_t from, std::size_t count) const {
        for (std::size_t i = 0; i < room; ++i) {
            const bool is_inside = i >= margin + from && i < margin + from + count;
            if (!is_inside && all[i] != untouched) return false;
        }
        return true;
    }
};

// Where `count` bytes may lie: on multiples of 8 from 8 bytes on, else on those of the largest power of two that divides
// it.
std::size_t alignment_of(std::size_t count) {
    if (count >= 8 || count == 0) return 8;
    return count & (~count + 1);
}

template <std::size_t Count>
void check_fixed() {
    CAPTURE(Count);
    const bytes from = pattern();
    for (std::size_t offset = 0; offset < 16; offset += alignment_of(Count)) {
        CAPTURE(offset);
        shared_memory memory;
        copy_in_fixed<Count>(memory.at(offset), from.data() + 3);  // private memory may lie anywhere
        CHECK(std::memcmp(memory.at(offset), from.data() + 3, Count) == 0);
        CHECK(memory.untouched_but(offset, Count));

        bytes back;
        back.fill(untouched);
        copy_out_fixed<Count>(back.data() + 5, memory.at(offset));
        CHECK(std::memcmp(back.data() + 5, from.data() + 3, Count) == 0);
        CHECK(back[4] == untouched);
        CHECK(back[5 + Count] == untouched);
    }
}

template <std::size_t... Count>
void check_all_fixed(std::index_sequence<Count...> /*counts*/) {
    (check_fixed<Count>(), ...);
}

}  // namespace

TEST_CASE("copy_in stores exactly the bytes it was given, for every size and alignment") {
    const bytes from = pattern();
    for (std::size_t count = 0; count <= 130; ++count) {
        for (std::size_t offset = 0; offset < 16; offset += alignment_of(count)) {
            CAPTURE(count);
            CAPTURE(offset);
            shared_memory memory;
            copy_in(memory.at(offset), from.data() + 1, count);
            CHECK(std::memcmp(memory.at(offset), from.data() + 1, count) == 0);
            CHECK(memory.untouched_but(offset, count));
        }
    }
}

TEST_CASE("copy_out gives exactly the bytes that are stored, for every size and alignment") {
    for (std::size_t count = 0; count <= 130; ++count) {
        for (std::size_t offset = 0; offset < 16; offset += alignment_of(count)) {
            CAPTURE(count);
            CAPTURE(offset);
            shared_memory memory;
            const bytes stored = pattern();
            std::memcpy(memory.at(offset), stored.data(), count);
            bytes to;
            to.fill(untouched);
            copy_out(to.data() + 1, memory.at(offset), count);
            CHECK(to[0] == untouched);
            CHECK(std::memcmp(to.data() + 1, stored.data(), count) == 0);
            CHECK(std::all_of(to.begin() + 1 + static_cast<std::ptrdiff_t>(count), to.end(),
                              [](unsigned char c) { return c == untouched; }));
        }
    }
}

TEST_CASE("zero_shared clears exactly the bytes it was given, for every size and alignment") {
    for (std::size_t count = 0; count <= 130; ++count) {
        for (std::size_t offset = 0; offset < 16; offset += alignment_of(count)) {
            CAPTURE(count);
            CAPTURE(offset);
            shared_memory memory;
            zero_shared(memory.at(offset), count);
            CHECK(std::all_of(memory.at(offset), memory.at(offset) + count,
                              [](unsigned char c) { return c == 0; }));
            CHECK(memory.untouched_but(offset, count));
        }
    }
}

TEST_CASE("copies of a size that the compiler knows are the same copies") {
    check_all_fixed(std::make_index_sequence<73>{});
    check_fixed<128>();
    check_fixed<255>();
}

TEST_CASE_TEMPLATE("a word that was stored is loaded as it was", T, std::uint8_t, std::int8_t, std::uint16_t,
                   std::int32_t, std::uint32_t, std::uint64_t, std::int64_t) {
    for (const T value : {T{0}, T{1}, static_cast<T>(~T{0}), static_cast<T>(T{1} << (8 * sizeof(T) - 2))}) {
        std::array<T, 3> words = {T{7}, T{7}, T{7}};
        store_word(words[1], value);
        CHECK(load_word(words[1]) == value);
        CHECK(words == std::array<T, 3>{T{7}, value, T{7}});
    }
}

TEST_CASE("round_up gives the least multiple that is not smaller") {
    for (const std::uint64_t multiple : std::initializer_list<std::uint64_t>{1, 2, 3, 8, 24, 4096}) {
        for (std::uint64_t value = 0; value < 3 * multiple + 2; ++value) {
            const std::uint64_t up = round_up(value, multiple);
            CAPTURE(value);
            CAPTURE(multiple);
            CHECK(up % multiple == 0);
            CHECK(up >= value);
            CHECK(up - value < multiple);
        }
    }
    CHECK(round_up((std::uint64_t{1} << 63) - 1, 4096) == std::uint64_t{1} << 63);
    static_assert(round_up(4097, 4096) == 8192);
}

}  // namespace words_test
