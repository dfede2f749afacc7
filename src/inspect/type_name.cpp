// type_name.cpp - what the recorded name of an element type says about its bytes.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <optional>
#include <utility>

#include "inspect/decode.hpp"
#include <cairn/detail/base/words.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

// A name from a stranger must neither recurse for ever nor be copied for each level when it is megabytes.
constexpr int most_nested = 64;
constexpr std::size_t longest_name = 1 << 16;
constexpr std::uint64_t most_bytes = std::uint64_t{1} << 48;  // of a value; more than a segment can have

bool take_number(std::string_view& text, std::uint64_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool is_number(std::string_view text, std::uint64_t& value) {
    return take_number(text, value) && text.empty();
}

bool take(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

// "[24,8]"
bool is_layout(std::string_view text, std::uint64_t& bytes, std::uint64_t& alignment) {
    return take(text, "[") && take_number(text, bytes) && take(text, ",") && take_number(text, alignment) &&
           text == "]" && bytes != 0 && bytes <= most_bytes && alignment != 0 && alignment <= bytes;
}

// "64" of "int64": bytes of an arithmetic type, 0 when there is no such type.
std::uint64_t width_after(std::string_view name, std::string_view prefix) {
    std::uint64_t bits = 0;
    if (!take(name, prefix) || !is_number(name, bits)) return 0;
    return bits == 8 || bits == 16 || bits == 32 || bits == 64 ? bits / 8 : 0;
}

// What stands between commas outside of all brackets; nothing when the brackets do not match.
std::optional<std::vector<std::string_view>> split(std::string_view text) {
    std::vector<std::string_view> parts;
    if (text.empty()) return parts;
    int depth = 0;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '<' || c == '{' || c == '[' || c == '(') ++depth;
        if (c == '>' || c == '}' || c == ']' || c == ')') --depth;
        if (depth < 0) return std::nullopt;
        if (depth != 0 || c != ',' || !text.substr(i).starts_with(", ")) continue;
        parts.push_back(text.substr(begin, i - begin));
        begin = i + 2;
    }
    parts.push_back(text.substr(begin));
    if (depth != 0) return std::nullopt;
    return parts;
}

struct template_form {
    std::string_view prefix;
    type_form form;
    std::size_t fewest_parts;
    std::size_t most_parts;
};

constexpr std::array<template_form, 5> templates = {{
    {"vector<", type_form::sequence, 1, 1},
    {"optional<", type_form::optional, 1, 1},
    {"tuple<", type_form::tuple, 0, longest_name},
    {"variant<", type_form::variant, 1, 256},
    {"map<", type_form::mapping, 2, 2},
}};

}  // namespace

element_type::element_type(std::string_view recorded_name, int depth) : name(recorded_name) {
    if (name.size() > longest_name || depth > most_nested) return;
    if (parse_simple() || parse_array(depth) || parse_parts(depth) || parse_fields(depth)) return;
    const std::string keep = std::move(name);  // whatever was found before it stopped making sense
    *this = element_type({}, most_nested + 1);
    name = keep;
}

bool element_type::parse_simple() {
    const std::string_view text = name;
    const std::uint64_t signed_bytes = width_after(text, "int");
    const std::uint64_t unsigned_bytes = width_after(text, "uint");
    if (text == "bool") form = type_form::boolean, bytes = 1;
    else if (text == "str") form = type_form::text;
    else if (text == "none") form = type_form::none;
    else if (text == "json" || text.starts_with("msgpack:")) form = type_form::msgpack;
    else if (signed_bytes != 0) form = type_form::signed_integer, bytes = signed_bytes;
    else if (unsigned_bytes != 0) form = type_form::unsigned_integer, bytes = unsigned_bytes;
    else if (text == "float32") form = type_form::floating, bytes = 4;
    else if (text == "float64") form = type_form::floating, bytes = 8;
    else if (text == "float128" && sizeof(long double) == 16) form = type_form::floating, bytes = 16;
    else if (text.starts_with("struct[") && is_layout(text.substr(6), bytes, alignment))
        form = type_form::structure;
    else {
        bytes = alignment = 0;
        return false;
    }
    if (alignment == 0) alignment = bytes;
    return true;
}

// char[8], int32[4], array<str, 4>
bool element_type::parse_array(int depth) {
    std::string_view text = name;
    if (take(text, "array<") && text.ends_with('>')) {
        text.remove_suffix(1);
        const auto of = split(text);
        return of && of->size() == 2 && parse_array_of(of->at(0), of->at(1), depth);
    }
    const std::size_t bracket = text.rfind('[');
    if (!text.ends_with(']') || bracket == std::string_view::npos || bracket == 0) return false;
    const std::string_view item = text.substr(0, bracket);
    const std::string_view item_count = text.substr(bracket + 1, text.size() - bracket - 2);
    if (item != "char") return parse_array_of(item, item_count, depth);
    form = type_form::characters;
    alignment = 1;
    return is_number(item_count, bytes) && bytes != 0 && bytes <= most_bytes;
}

bool element_type::parse_array_of(std::string_view item, std::string_view item_count, int depth) {
    if (!is_number(item_count, count) || count > most_bytes) return false;
    form = type_form::array;
    parts.push_back(element_type(item, depth + 1));
    if (parts[0].bytes != 0 && count > most_bytes / parts[0].bytes) return false;
    bytes = count * parts[0].bytes;
    alignment = count == 0 ? 0 : parts[0].alignment;
    return true;
}

bool element_type::parse_parts(int depth) {
    for (const template_form& each : templates) {
        std::string_view text = name;
        if (!take(text, each.prefix) || !text.ends_with('>')) continue;
        text.remove_suffix(1);
        const auto of = split(text);
        if (!of || of->size() < each.fewest_parts || of->size() > each.most_parts) return false;
        form = each.form;
        for (const std::string_view part : *of) parts.push_back(element_type(part, depth + 1));
        if (form == type_form::tuple) sum_up();
        return true;
    }
    return false;
}

// job {id: int32, weight: float64}; job[16,8] {weight: float64 @8}; job packed {id: int32}
bool element_type::parse_fields(int depth) {
    std::string_view text = name;
    const std::size_t brace = text.find(" {");
    if (brace == std::string_view::npos || !text.ends_with('}')) return false;
    const auto of = split(text.substr(brace + 2, text.size() - brace - 3));
    if (!of) return false;
    for (const std::string_view field : *of) {
        if (!parse_field(field, depth)) return false;
    }
    form = type_form::fields;
    std::string_view head = text.substr(0, brace);
    const bool are_in_place =
        !head.ends_with(" packed") && !parts.empty() &&
        std::all_of(parts.begin(), parts.end(), [](const element_type& part) { return part.alignment != 0; });
    if (!are_in_place) {
        places.clear();
        sum_up();
        return true;
    }
    const std::size_t bracket = head.rfind('[');
    return place_fields(bracket == std::string_view::npos ? "" : head.substr(bracket));
}

// weight: float64 @8
bool element_type::parse_field(std::string_view text, int depth) {
    const std::size_t colon = text.find(": ");
    if (colon == std::string_view::npos || colon == 0) return false;
    std::string_view type = text.substr(colon + 2);
    std::uint64_t place = most_bytes;  // the next that suits it
    if (const std::size_t at = type.rfind(" @"); at != std::string_view::npos && !type.ends_with('}')) {
        if (!is_number(type.substr(at + 2), place) || place >= most_bytes) return false;
        type = type.substr(0, at);
    }
    fields.emplace_back(text.substr(0, colon));
    parts.push_back(element_type(type, depth + 1));
    places.push_back(place);
    return true;
}

// As a C compiler does, unless the name says otherwise.
bool element_type::place_fields(std::string_view layout) {
    std::uint64_t end = 0;
    std::uint64_t last = 0;
    alignment = 1;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (places[i] == most_bytes) places[i] = round_up(end, parts[i].alignment);
        end = places[i] + parts[i].bytes;
        if (end > most_bytes) return false;
        last = std::max(last, end);
        alignment = std::max(alignment, parts[i].alignment);
    }
    bytes = round_up(end, alignment);
    if (!layout.empty() && !is_layout(layout, bytes, alignment)) return false;
    return last <= bytes;
}

void element_type::sum_up() {
    for (const element_type& part : parts) {
        if (part.bytes == 0 || part.bytes > most_bytes - bytes) {
            bytes = 0;
            return;
        }
        bytes += part.bytes;
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
