// codec.hpp - how element types are stored, and what they are called.
//
// codec<T> exists for
//
//   numbers, enumerations, trivially copyable structs       their bytes
//   structs with CAIRN_FIELDS (fields.hpp)                  the same if their fields are such, else field by field
//   std::string, and std::vector, array, optional, tuple,   as below; of any type that has a codec, to any depth
//   pair, variant and map
//
// for other types specialise it:
//
//   template <> struct cairn::codec<my_type> {
//       static std::string type_name() { return "my_type"; }                  // part of the object's recorded type
//       static std::size_t size(const my_type& value);                        // encoded bytes
//       static void encode(const my_type& value, std::byte* to);              // writes size(value) bytes
//       static my_type decode(std::span<const std::byte> bytes);              // throws cairn::corrupt_segment
//       static void append_repr(std::string& to, const my_type& value);       // if you like: Python's notation
//   };
//
// The type's name is what other programs (and shmctl) know it by; it must change when the encoding does.
// Encoding runs outside of every lock, decoding, too, as a rule, and never on bytes that a writer may have torn. What is taken
// out of a container (pop, get, lease ...) is decoded before it is taken, so that a decode() that throws leaves it where it
// was: by a codec of the user's without the lock, unless others were faster three times, or in a transaction. In such a
// decode() any use of Cairn is would_deadlock. A value is moved to who takes it afterwards: moving one must not throw.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <type_traits>

#include <cairn/detail/codec/elements.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI {

/// Trivially copyable types that are neither of std nor hold addresses: their bytes. A struct that hides a pointer
/// cannot be told from others: do not store one.
template <detail::plain T>
struct codec<T> {
    using keeps_bytes = void;
    static std::string type_name() { return detail::plain_name<T>(); }
    static constexpr std::size_t size(const T&) { return sizeof(T); }
    static void encode(const T& value, std::byte* to) { std::memcpy(to, &value, sizeof value); }
    static T decode(std::span<const std::byte> bytes) {
        if (bytes.size() != sizeof(T)) detail::throw_undecodable(type_name(), bytes.size());
        if constexpr (std::is_same_v<T, bool>) {
            return bytes[0] != std::byte{0};  // any other byte in a bool would be undefined behaviour
        } else {
            alignas(T) std::array<std::byte, sizeof(T)> storage;
            std::memcpy(storage.data(), bytes.data(), sizeof(T));
            return *std::launder(reinterpret_cast<const T*>(storage.data()));
        }
    }
};

/// Bytes; by convention UTF-8.
template <>
struct codec<std::string> {
    using is_of_library = void;
    static std::string type_name() { return "str"; }
    static std::size_t size(const std::string& value) { return value.size(); }
    static void encode(const std::string& value, std::byte* to) {
        if (!value.empty()) std::memcpy(to, value.data(), value.size());
    }
    static std::string decode(std::span<const std::byte> bytes) {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
};

/// What can be an element of a list.
template <typename T>
concept codable = detail::has_codec<T> && !detail::handle_type<T>;

}  // namespace cairn::inline CAIRN_ABI

#include <cairn/detail/codec/composites.hpp>
