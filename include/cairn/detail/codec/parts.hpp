// parts.hpp - how a value that is made of others is encoded: its parts, one after the other.
//
//   tuple<int32, str, int32> (7, "ab", 9)      | 07 00 00 00 | 02 | 61 62 | 09 00 00 00 |
//                                                 int32        length  str    int32
//
// A part whose every value has the same number of bytes (more than none) is written as it is; any other has its length in
// front, seven bits a byte, the lowest first, 0x80 in all but the last. Lengths are checked against what is left before
// anything is allocated, so that no byte of a stranger costs more memory than the bytes there are.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include <cairn/detail/codec/elements.hpp>
#include <cairn/detail/codec/shapes.hpp>
#include <cairn/fields.hpp>

namespace cairn::inline CAIRN_ABI::detail {

template <typename T>
constexpr std::size_t fixed_bytes();

template <typename... Ts>
constexpr std::size_t fixed_bytes_together(part_list<Ts...>) {
    if constexpr (((fixed_bytes<Ts>() != 0) && ...)) return (fixed_bytes<Ts>() + ... + std::size_t{0});
    else return 0;
}

/// Bytes of each value's encoding; 0 when they differ from value to value, or when there are none.
template <typename T>
constexpr std::size_t fixed_bytes() {
    if constexpr (stored_as_is<T>) {
        return sizeof(T);
    } else if constexpr (shape_of<T> == shape::array) {
        return item_count<T> * fixed_bytes_together(parts_of<T>{});
    } else if constexpr (shape_of<T> == shape::tuple) {
        return fixed_bytes_together(parts_of<T>{});
    } else if constexpr (encoded_by_fields<T>) {
        return with_fields<T>(
            []<auto... Members>() { return fixed_bytes_together(part_list<field_type<Members>...>{}); });
    } else {
        return 0;
    }
}

constexpr std::size_t length_bytes(std::uint64_t length) noexcept {
    std::size_t bytes = 1;
    for (; length >= 0x80; length >>= 7U) ++bytes;
    return bytes;
}

inline std::byte* write_length(std::byte* to, std::uint64_t length) noexcept {
    for (; length >= 0x80; length >>= 7U) *to++ = static_cast<std::byte>(length | 0x80U);
    *to++ = static_cast<std::byte>(length);
    return to;
}

/// Takes a length off the front of `bytes`; false when there is none, or when it is more than what is left.
CAIRN_API bool read_length(std::span<const std::byte>& bytes, std::uint64_t& length) noexcept;

/// The codec of a part: as codec<T>, but arrays of the language are parts, too, and decoding writes to an object.
template <typename T>
struct part_codec {
    static std::size_t size(const T& value) { return codec<T>::size(value); }
    static void encode(const T& value, std::byte* to) { codec<T>::encode(value, to); }
    static void decode(std::span<const std::byte> bytes, T& to) { to = codec<T>::decode(bytes); }
};

template <typename T>
std::size_t part_size(const T& value) {
    if constexpr (fixed_bytes<T>() != 0) {
        return fixed_bytes<T>();
    } else {
        const std::size_t size = part_codec<T>::size(value);
        return length_bytes(size) + size;
    }
}

/// Writes a part; returns the end of it.
template <typename T>
std::byte* write_part(const T& value, std::byte* to) {
    std::size_t size = fixed_bytes<T>();
    if constexpr (fixed_bytes<T>() == 0) {
        size = part_codec<T>::size(value);
        to = write_length(to, size);
    }
    part_codec<T>::encode(value, to);
    return to + size;
}

/// Takes the parts of a value off its encoding, one by one.
/// @throws corrupt_segment  they end early, or (done()) late
class part_reader {
public:
    /// `type_name` says whose parts they are, should they make no sense.
    part_reader(std::span<const std::byte> bytes, std::string (*type_name)())
        : all_(bytes.size()), rest_(bytes), type_name_(type_name) {}

    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
    void done() const {
        if (!rest_.empty()) fail();
    }
    [[noreturn]] void fail() const { throw_undecodable(type_name_(), all_); }

    template <typename T>
    [[nodiscard]] T read() {
        return codec<T>::decode(next<T>());
    }
    template <typename T>
    void skip() {
        static_cast<void>(next<T>());
    }
    template <typename T>
    void read_to(T& value) {
        part_codec<T>::decode(next<T>(), value);
    }

private:
    template <typename T>
    std::span<const std::byte> next() {
        std::uint64_t size = fixed_bytes<T>();
        if (size == 0 ? !read_length(rest_, size) : size > rest_.size()) fail();
        const std::span<const std::byte> part = rest_.first(size);
        rest_ = rest_.subspan(size);
        return part;
    }

    std::size_t all_;
    std::span<const std::byte> rest_;
    std::string (*type_name_)();
};

/// Items side by side, of std::array and of arrays of the language.
template <typename Item>
struct array_codec {
    static std::size_t size(std::span<const Item> items) {
        std::size_t bytes = 0;
        for (const Item& item : items) bytes += part_size(item);
        return bytes;
    }
    static void encode(std::span<const Item> items, std::byte* to) {
        for (const Item& item : items) to = write_part(item, to);
    }
};

template <typename Item, std::size_t N>
struct part_codec<Item[N]> {
    static std::string type_name() { return part_name<Item[N]>(); }
    static std::size_t size(const Item (&items)[N]) { return array_codec<Item>::size(items); }
    static void encode(const Item (&items)[N], std::byte* to) { array_codec<Item>::encode(items, to); }
    static void decode(std::span<const std::byte> bytes, Item (&to)[N]) {
        part_reader reader(bytes, &type_name);
        for (Item& item : to) reader.read_to(item);
        reader.done();
    }
};

}  // namespace cairn::inline CAIRN_ABI::detail
