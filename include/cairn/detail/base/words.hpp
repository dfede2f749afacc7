// words.hpp - how bytes go into and out of shared memory.
//
// Readers take no lock: they copy, and look afterwards whether a writer was there meanwhile. So every access to
// memory that such a reader may see is an atomic one of the widest aligned size, relaxed: tearing between words is
// the reader's business (it compares the root's version), tearing inside one cannot happen, and by the letter of the
// memory model there is no data race.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// A position in a segment, in bytes from its start. 0 is the header, so it also says "nothing".
using segment_offset = std::uint64_t;

template <typename T>
concept word =
    std::is_trivially_copyable_v<T> && (sizeof(T) == 1 || sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8);

// relaxed: ordered by the caller, with the root's version or with order_stores()
template <word T>
CAIRN_INLINE T load_word(const T& from) noexcept {
    if constexpr (std::is_enum_v<T>) {
        T value;
        __atomic_load(const_cast<T*>(&from), &value, __ATOMIC_RELAXED);
        return value;
    } else {
        return __atomic_load_n(const_cast<T*>(&from), __ATOMIC_RELAXED);
    }
}

template <word T>
CAIRN_INLINE void store_word(T& to, std::type_identity_t<T> value) noexcept {
    if constexpr (std::is_enum_v<T>) __atomic_store(&to, &value, __ATOMIC_RELAXED);
    else __atomic_store_n(&to, value, __ATOMIC_RELAXED);
}

/// Keeps the compiler from moving stores across: after a death the kernel shows the next owner of the lock every
/// store that the dead one had made in program order, so the hardware needs no fence for recovery's sake.
CAIRN_INLINE void order_stores() noexcept {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/// Copies from private memory into shared memory. `to` is aligned to 8 unless `bytes` is less than 8, then to the
/// largest power of two that divides `bytes`.
CAIRN_API void copy_in(void* to, const void* from, std::size_t bytes) noexcept;

/// Copies from shared memory into private memory; same alignment of `from`.
CAIRN_API void copy_out(void* to, const void* from, std::size_t bytes) noexcept;

/// Copies inside shared memory, to where it does not overlap; same alignment of both.
CAIRN_API void copy_across(void* to, const void* from, std::size_t bytes) noexcept;

/// Sets shared memory to zero; same alignment.
CAIRN_API void zero_shared(void* to, std::size_t bytes) noexcept;

/// copy_in for a size known at compile time and small: stays inline.
template <std::size_t Bytes>
CAIRN_INLINE void copy_in_fixed(void* to, const void* from) noexcept {
    if constexpr (Bytes % 8 == 0 && Bytes <= 64) {
        for (std::size_t i = 0; i < Bytes; i += 8) {
            std::uint64_t value = 0;
            std::memcpy(&value, static_cast<const char*>(from) + i, 8);
            __atomic_store_n(reinterpret_cast<std::uint64_t*>(static_cast<char*>(to) + i), value,
                             __ATOMIC_RELAXED);
        }
    } else if constexpr (Bytes == 4) {
        std::uint32_t value = 0;
        std::memcpy(&value, from, 4);
        __atomic_store_n(static_cast<std::uint32_t*>(to), value, __ATOMIC_RELAXED);
    } else if constexpr (Bytes == 2) {
        std::uint16_t value = 0;
        std::memcpy(&value, from, 2);
        __atomic_store_n(static_cast<std::uint16_t*>(to), value, __ATOMIC_RELAXED);
    } else if constexpr (Bytes == 1) {
        std::uint8_t value = 0;
        std::memcpy(&value, from, 1);
        __atomic_store_n(static_cast<std::uint8_t*>(to), value, __ATOMIC_RELAXED);
    } else {
        copy_in(to, from, Bytes);
    }
}

template <std::size_t Bytes>
CAIRN_INLINE void copy_out_fixed(void* to, const void* from) noexcept {
    if constexpr (Bytes % 8 == 0 && Bytes <= 64) {
        for (std::size_t i = 0; i < Bytes; i += 8) {
            const std::uint64_t value = __atomic_load_n(
                reinterpret_cast<const std::uint64_t*>(static_cast<const char*>(from) + i), __ATOMIC_RELAXED);
            std::memcpy(static_cast<char*>(to) + i, &value, 8);
        }
    } else if constexpr (Bytes == 4) {
        const std::uint32_t value =
            __atomic_load_n(static_cast<const std::uint32_t*>(from), __ATOMIC_RELAXED);
        std::memcpy(to, &value, 4);
    } else if constexpr (Bytes == 2) {
        const std::uint16_t value =
            __atomic_load_n(static_cast<const std::uint16_t*>(from), __ATOMIC_RELAXED);
        std::memcpy(to, &value, 2);
    } else if constexpr (Bytes == 1) {
        const std::uint8_t value = __atomic_load_n(static_cast<const std::uint8_t*>(from), __ATOMIC_RELAXED);
        std::memcpy(to, &value, 1);
    } else {
        copy_out(to, from, Bytes);
    }
}

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) noexcept {
    return (value + multiple - 1) / multiple * multiple;
}

}  // namespace cairn::inline CAIRN_ABI::detail
