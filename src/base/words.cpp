// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/base/words.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Whole words as long as there are some, then the tail bytewise. The tail starts on a multiple of 8.
template <typename WordFn, typename ByteFn>
void for_each_word(std::size_t bytes, WordFn on_word, ByteFn on_byte) noexcept {
    std::size_t i = 0;
    // Four at a time: the compiler may neither merge nor unroll atomic accesses by itself.
    for (; i + 32 <= bytes; i += 32) {
        on_word(i);
        on_word(i + 8);
        on_word(i + 16);
        on_word(i + 24);
    }
    for (; i + 8 <= bytes; i += 8) on_word(i);
    for (; i < bytes; ++i) on_byte(i);
}

}  // namespace

void copy_in(void* to, const void* from, std::size_t bytes) noexcept {
    auto* out = static_cast<unsigned char*>(to);
    const auto* in = static_cast<const unsigned char*>(from);
    for_each_word(
        bytes,
        [&](std::size_t i) {
            std::uint64_t value = 0;
            std::memcpy(&value, in + i, 8);
            __atomic_store_n(reinterpret_cast<std::uint64_t*>(out + i), value, __ATOMIC_RELAXED);
        },
        [&](std::size_t i) { __atomic_store_n(out + i, in[i], __ATOMIC_RELAXED); });
}

void copy_out(void* to, const void* from, std::size_t bytes) noexcept {
    auto* out = static_cast<unsigned char*>(to);
    const auto* in = static_cast<const unsigned char*>(from);
    for_each_word(
        bytes,
        [&](std::size_t i) {
            const std::uint64_t value =
                __atomic_load_n(reinterpret_cast<const std::uint64_t*>(in + i), __ATOMIC_RELAXED);
            std::memcpy(out + i, &value, 8);
        },
        [&](std::size_t i) { out[i] = __atomic_load_n(in + i, __ATOMIC_RELAXED); });
}

void copy_across(void* to, const void* from, std::size_t bytes) noexcept {
    auto* out = static_cast<unsigned char*>(to);
    const auto* in = static_cast<const unsigned char*>(from);
    for_each_word(
        bytes,
        [&](std::size_t i) {
            const std::uint64_t value =
                __atomic_load_n(reinterpret_cast<const std::uint64_t*>(in + i), __ATOMIC_RELAXED);
            __atomic_store_n(reinterpret_cast<std::uint64_t*>(out + i), value, __ATOMIC_RELAXED);
        },
        [&](std::size_t i) {
            __atomic_store_n(out + i, __atomic_load_n(in + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
        });
}

void zero_shared(void* to, std::size_t bytes) noexcept {
    auto* out = static_cast<unsigned char*>(to);
    for_each_word(
        bytes,
        [&](std::size_t i) {
            __atomic_store_n(reinterpret_cast<std::uint64_t*>(out + i), 0, __ATOMIC_RELAXED);
        },
        [&](std::size_t i) { __atomic_store_n(out + i, static_cast<unsigned char>(0), __ATOMIC_RELAXED); });
}

}  // namespace cairn::inline CAIRN_ABI::detail
