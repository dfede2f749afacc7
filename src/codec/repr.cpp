#include "cairn/repr.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ostream>

#include "base/names.hpp"

namespace cairn::inline v0 {

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
                to += text.substr(i, length);
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

void throw_undecodable(const std::string& type, std::size_t bytes) {
    throw corrupt_segment("decode " + type + ": " + std::to_string(bytes) +
                          " bytes are no value of that type");
}

}  // namespace detail

}  // namespace cairn::inline v0
