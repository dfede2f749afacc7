// decode.hpp - values of elements whose C++ type is not at hand, by the name that the object records for it.
//
// type_name.cpp reads the names, decode.cpp the values. Both come from a stranger: names are read to a certain depth and
// length only, and of a value nothing is followed that was not checked to lie within it.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <cairn/inspect.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

enum class type_form {
    unknown,  // a user's codec: bytes
    none,
    boolean,
    signed_integer,
    unsigned_integer,
    floating,
    text,
    characters,  // char[8]: text that ends at the first zero
    structure,   // struct[24,8]: bytes
    msgpack,     // json, msgpack:job: says itself what it is made of
    array,       // array<str, 4>, int32[4]
    sequence,    // vector<str>
    optional,
    tuple,
    variant,
    mapping,  // map<str, int64>
    fields    // job {id: int32, weight: float64}
};

/// "int64", "vector<str>", "map<str, tuple<int32, float64>>", "job {id: int32}"; anything else, also as a part of these,
/// is a type that we do not know. codec/elements.hpp makes the names, codec/composites.hpp the bytes.
struct element_type {
    explicit element_type(std::string_view recorded_name) : element_type(recorded_name, 0) {}

    std::string name;
    type_form form = type_form::unknown;
    std::uint64_t bytes = 0;      // of a value, where they are always the same; else 0
    std::uint64_t alignment = 0;  // of a type that keeps its bytes in a struct that keeps its bytes; else 0
    std::uint64_t count = 0;      // of the items of an array
    std::vector<element_type> parts;    // of the items, of the key and of the mapped value, of each field
    std::vector<std::string> fields;    // their names
    std::vector<std::uint64_t> places;  // where they lie, in a struct that keeps its bytes; else empty

    /// These bytes are a value of the type, as far as that can be said.
    [[nodiscard]] bool fits(std::span<const std::byte> value) const noexcept;
    /// Python's notation; `?` for bytes that do not fit.
    void append_text(std::string& to, std::span<const std::byte> value) const;
    [[nodiscard]] element_value decode(std::span<const std::byte> value) const;

private:
    element_type(std::string_view recorded_name, int depth);
    bool parse_simple();
    bool parse_array(int depth);
    bool parse_parts(int depth);
    bool parse_fields(int depth);
    bool parse_field(std::string_view text, int depth);
    bool parse_array_of(std::string_view item, std::string_view item_count, int depth);
    bool place_fields(std::string_view layout);
    void sum_up();

    template <typename Fn>
    bool each_part(std::span<const std::byte> value, Fn fn) const;
    void write(std::string& to, std::span<const std::byte> value) const;
    void write_parts(std::string& to, std::span<const std::byte> value) const;
    [[nodiscard]] element_value decode_parts(std::span<const std::byte> value) const;
};

/// Of bytes that is_msgpack() holds for.
[[nodiscard]] element_value decode_msgpack(std::span<const std::byte> value);

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
