// SPDX-License-Identifier: BSL-1.0
#include "cairn/repr.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <ostream>

#include "base/names.hpp"

namespace cairn::inline CAIRN_ABI {

namespace detail {

namespace {

constexpr std::size_t most_dumped_bytes = 32;

template <typename Float>
void append_float(std::string& to, Float value) {
    if (std::isnan(value)) {
        to += "nan";
        return;
    }
    if (std::isinf(value)) {
        to += value < 0 ? "-inf" : "inf";
        return;
    }
    // Python switches to an exponent at 1e16 and below 1e-4; both notations are the shortest that read back the same.
    const double magnitude = std::fabs(static_cast<double>(value));
    const bool plain = magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
    std::array<char, 64> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                   plain ? std::chars_format::fixed : std::chars_format::scientific);
    const std::string_view digits(text.data(), static_cast<std::size_t>(end.ptr - text.data()));
    to += digits;
    if (plain && digits.find('.') == std::string_view::npos) to += ".0";
}

void append_hex(std::string& to, unsigned char byte) {
    constexpr std::string_view digits = "0123456789abcdef";
    to += digits[byte >> 4];
    to += digits[byte & 0xf];
}

std::size_t utf8_length(unsigned char lead) {
    if (lead < 0x80) return 1;
    if (lead < 0xe0) return 2;
    return lead < 0xf0 ? 3 : 4;
}

// The code point of a character that is known to be UTF-8.
std::uint32_t code_point(std::string_view character) {
    const auto lead = static_cast<unsigned char>(character[0]);
    if (character.size() == 1) return lead;
    std::uint32_t code = lead & (0xffU >> (character.size() + 1));
    for (const char c : character.substr(1)) code = code << 6U | (static_cast<unsigned char>(c) & 0x3fU);
    return code;
}

struct code_range {
    std::uint32_t first;
    std::uint32_t last;
};

// What Python does not print as it is: controls, formats, private use, and separators other than the space (str.isprintable
// with Unicode 14). Not what has no character yet, which changes with every version.
constexpr std::array<code_range, 28> unprintable = {{
    {0x0, 0x1f},        {0x7f, 0xa0},       {0xad, 0xad},         {0x600, 0x605},     {0x61c, 0x61c},
    {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},       {0x8e2, 0x8e2},     {0x1680, 0x1680},
    {0x180e, 0x180e},   {0x2000, 0x200f},   {0x2028, 0x202f},     {0x205f, 0x2064},   {0x2066, 0x206f},
    {0x3000, 0x3000},   {0xe000, 0xf8ff},   {0xfeff, 0xfeff},     {0xfff9, 0xfffb},   {0x110bd, 0x110bd},
    {0x110cd, 0x110cd}, {0x13430, 0x13438}, {0x1bca0, 0x1bca3},   {0x1d173, 0x1d17a}, {0xe0001, 0xe0001},
    {0xe0020, 0xe007f}, {0xf0000, 0xffffd}, {0x100000, 0x10fffd},
}};

bool is_printable(std::uint32_t code) {
    if ((code & 0xfffeU) == 0xfffeU || (code >= 0xfdd0 && code <= 0xfdef)) return false;  // never characters
    const auto* range = std::lower_bound(unprintable.begin(), unprintable.end(), code,
                                         [](const code_range& r, std::uint32_t c) { return r.last < c; });
    return range == unprintable.end() || code < range->first;
}

// \xa0, \u2028, \U0010ffff
void append_escape(std::string& to, std::uint32_t code) {
    const int digits = code < 0x100 ? 2 : code < 0x10000 ? 4 : 8;
    to += digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
    for (int shift = 4 * (digits - 2); shift >= 0; shift -= 8)
        append_hex(to, static_cast<unsigned char>(code >> static_cast<unsigned>(shift)));
}

}  // namespace

void append_repr(std::string& to, std::int64_t value) {
    to += std::to_string(value);
}

void append_repr(std::string& to, std::uint64_t value) {
    to += std::to_string(value);
}

void append_repr(std::string& to, double value) {
    append_float(to, value);
}

void append_repr(std::string& to, float value) {
    append_float(to, value);
}

void append_repr(std::string& to, bool value) {
    to += value ? "True" : "False";
}

void append_repr(std::string& to, std::string_view text) {
    const bool has_single = text.find('\'') != std::string_view::npos;
    const bool has_double = text.find('"') != std::string_view::npos;
    const char quote = has_single && !has_double ? '"' : '\'';
    to += quote;
    for (std::size_t i = 0; i < text.size();) {
        const char c = text[i];
        const auto byte = static_cast<unsigned char>(c);
        if (c == quote || c == '\\') {
            to += '\\';
            to += c;
        } else if (c == '\n') {
            to += "\\n";
        } else if (c == '\r') {
            to += "\\r";
        } else if (c == '\t') {
            to += "\\t";
        } else if (byte < 0x20 || byte == 0x7f) {
            to += "\\x";
            append_hex(to, byte);
        } else {
            const std::size_t length = utf8_length(byte);
            if (byte >= 0x80 &&
                (byte < 0xc2 || text.size() - i < length || !is_utf8(text.substr(i, length)))) {
                to += "\\x";
                append_hex(to, byte);
            } else {
                const std::string_view character = text.substr(i, length);
                if (const std::uint32_t code = code_point(character); is_printable(code)) to += character;
                else append_escape(to, code);
                i += length;
                continue;
            }
        }
        ++i;
    }
    to += quote;
}

void append_bytes(std::string& to, const std::string& type, const void* bytes, std::size_t count) {
    to += '<';
    to += type;
    if (count != 0) to += ' ';
    const auto* from = static_cast<const unsigned char*>(bytes);
    for (std::size_t i = 0; i < count && i < most_dumped_bytes; ++i) append_hex(to, from[i]);
    if (count > most_dumped_bytes) to += "...";
    to += '>';
}

void write(std::ostream& to, const std::string& text) {
    to << text;
}

}  // namespace detail

}  // namespace cairn::inline CAIRN_ABI
