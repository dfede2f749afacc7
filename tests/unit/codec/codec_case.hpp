// codec_case.hpp - a value and its codec without its type, so that what holds for every type is written, and compiled, once.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <typeindex>
#include <vector>

#include <cairn/codec.hpp>
#include <cairn/repr.hpp>

namespace cairn_test {

/// What came out of bytes: its notation (every byte of it was looked at for that) and its encoding.
struct decoded_value {
    std::string text;
    std::vector<std::byte> bytes;
};

struct codec_case {
    std::type_index cpp_type;
    std::string type;
    std::string text;
    std::vector<std::byte> bytes;
    bool has_padding;                                                    // which comes back as anything
    std::optional<decoded_value> (*decode)(std::span<const std::byte>);  // nothing: corrupt_segment
};

template <typename T>
std::vector<std::byte> encode(const T& value) {
    std::vector<std::byte> bytes(cairn::codec<T>::size(value));
    cairn::codec<T>::encode(value, bytes.data());
    return bytes;
}

template <typename T>
T decode(std::span<const std::byte> bytes) {
    return cairn::codec<T>::decode(bytes);
}

template <typename T>
std::optional<decoded_value> decode_or_nothing(std::span<const std::byte> bytes) {
    try {
        const T value = decode<T>(bytes);
        return decoded_value{cairn::repr(value), encode(value)};
    } catch (const cairn::corrupt_segment&) {
        return std::nullopt;
    }
}

template <typename T>
codec_case case_of(const T& value) {
    return {typeid(T),     cairn::codec<T>::type_name(),   cairn::repr(value),
            encode(value), cairn::detail::stored_as_is<T>, &decode_or_nothing<T>};
}

std::vector<std::byte> bytes_of(std::initializer_list<int> values);

/// The value comes back as it was, and what knows its type by name only prints it alike. Bytes that were cut, changed or are random (seeded) are another value or
/// corrupt_segment: no other exception, no memory worth mentioning, and whatever value came out is stored and read again.
void check_codec(const codec_case& each);

/// All of them; and no two types have the same name, nor the same fingerprint.
void check_codecs(std::initializer_list<codec_case> cases);

}  // namespace cairn_test
