// SPDX-License-Identifier: BSL-1.0
#include "inspect/decode.hpp"

#include <charconv>
#include <cstring>
#include <utility>

#include <cairn/detail/codec/msgpack.hpp>
#include <cairn/detail/codec/parts.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

template <typename T>
T read_as(std::span<const std::byte> value) {
    T result;
    std::memcpy(&result, value.data(), sizeof result);
    return result;
}

std::int64_t read_signed(std::span<const std::byte> value) {
    switch (value.size()) {
        case 1: return read_as<std::int8_t>(value);
        case 2: return read_as<std::int16_t>(value);
        case 4: return read_as<std::int32_t>(value);
        default: return read_as<std::int64_t>(value);
    }
}

std::uint64_t read_unsigned(std::span<const std::byte> value) {
    switch (value.size()) {
        case 1: return read_as<std::uint8_t>(value);
        case 2: return read_as<std::uint16_t>(value);
        case 4: return read_as<std::uint32_t>(value);
        default: return read_as<std::uint64_t>(value);
    }
}

void append_floating(std::string& to, std::span<const std::byte> value) {
    if (value.size() == 4) append_repr(to, read_as<float>(value));
    else if (value.size() == 8) append_repr(to, read_as<double>(value));
    else append_repr(to, static_cast<double>(read_as<long double>(value)));
}

double read_floating(std::span<const std::byte> value) {
    if (value.size() == 8) return read_as<double>(value);
    if (value.size() == 16) return static_cast<double>(read_as<long double>(value));
    // 0.1f is 0.1 to whoever reads it as text, not 0.10000000149011612.
    std::string shortest;
    append_repr(shortest, read_as<float>(value));
    double number = 0;
    std::from_chars(shortest.data(), shortest.data() + shortest.size(), number);
    return number;
}

std::string_view as_text(std::span<const std::byte> value) {
    return {reinterpret_cast<const char*>(value.data()), value.size()};
}

std::string_view until_zero(std::string_view text) {
    return text.substr(0, text.find('\0'));
}

}  // namespace

// Calls fn(part, its type, its number) for each, until one returns false or the bytes are no value: then the answer is
// false. The mirror of codec/parts.hpp.
template <typename Fn>
bool element_type::each_part(std::span<const std::byte> value, Fn fn) const {
    const auto next = [&](const element_type& part, std::size_t number) {
        std::uint64_t size = part.bytes;
        if (size == 0 ? !read_length(value, size) : size > value.size()) return false;
        const auto taken = value.first(static_cast<std::size_t>(size));
        value = value.subspan(static_cast<std::size_t>(size));
        return fn(taken, part, number);
    };
    switch (form) {
        case type_form::array:
            for (std::uint64_t i = 0; i < count; ++i) {
                if (!next(parts[0], static_cast<std::size_t>(i))) return false;
            }
            return value.empty();
        case type_form::sequence:
        case type_form::mapping:
            for (std::size_t i = 0; !value.empty() || i % parts.size() != 0; ++i) {
                if (!next(parts[i % parts.size()], i)) return false;
            }
            return true;
        case type_form::fields:
            if (places.empty()) break;
            if (value.size() != bytes) return false;
            for (std::size_t i = 0; i < parts.size(); ++i) {
                const auto at = static_cast<std::size_t>(places[i]);
                if (!fn(value.subspan(at, static_cast<std::size_t>(parts[i].bytes)), parts[i], i))
                    return false;
            }
            return true;
        case type_form::optional:
            if (value.empty()) return true;
            if (parts[0].bytes != 0) return fn(value, parts[0], 0);
            return value[0] == std::byte{1} && fn(value.subspan(1), parts[0], 0);
        case type_form::variant: {
            if (value.empty() || std::to_integer<std::size_t>(value[0]) >= parts.size()) return false;
            return fn(value.subspan(1), parts[std::to_integer<std::size_t>(value[0])], 0);
        }
        default: break;
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (!next(parts[i], i)) return false;
    }
    return value.empty();
}

bool element_type::fits(std::span<const std::byte> value) const noexcept {
    switch (form) {
        case type_form::none: return value.empty();
        case type_form::boolean:
            return value.size() == 1 && (value[0] == std::byte{0} || value[0] == std::byte{1});
        case type_form::signed_integer:
        case type_form::unsigned_integer:
        case type_form::floating:
        case type_form::characters:
        case type_form::structure: return value.size() == bytes;
        case type_form::text:
        case type_form::unknown: return true;
        case type_form::msgpack: return is_msgpack(value);
        default: break;
    }
    return each_part(value, [](std::span<const std::byte> part, const element_type& type, std::size_t) {
        return type.fits(part);
    });
}

void element_type::append_text(std::string& to, std::span<const std::byte> value) const {
    if (fits(value)) write(to, value);
    else to += '?';
}

// Of a value that fits.
void element_type::write(std::string& to, std::span<const std::byte> value) const {
    switch (form) {
        case type_form::none: to += "None"; return;
        case type_form::boolean: return append_repr(to, value[0] != std::byte{0});
        case type_form::signed_integer: return append_repr(to, read_signed(value));
        case type_form::unsigned_integer: return append_repr(to, read_unsigned(value));
        case type_form::floating: return append_floating(to, value);
        case type_form::text: return append_repr(to, as_text(value));
        case type_form::characters: return append_repr(to, until_zero(as_text(value)));
        case type_form::structure:
        case type_form::unknown: return append_bytes(to, name, value.data(), value.size());
        case type_form::msgpack: return append_msgpack_repr(to, value);
        case type_form::optional:
            if (value.empty()) to += "None";
            break;
        default: break;
    }
    write_parts(to, value);
}

void element_type::write_parts(std::string& to, std::span<const std::byte> value) const {
    const bool is_list = form == type_form::array || form == type_form::sequence;
    const bool is_dict = form == type_form::mapping || form == type_form::fields;
    const bool is_tuple = form == type_form::tuple;
    if (is_list || is_dict || is_tuple) to += is_list ? '[' : is_dict ? '{' : '(';
    each_part(value, [&](std::span<const std::byte> part, const element_type& type, std::size_t number) {
        const bool is_mapped = form == type_form::mapping && number % 2 == 1;
        if (is_mapped) to += ": ";
        else if (number != 0) to += ", ";
        if (form == type_form::fields) {
            append_repr(to, std::string_view(fields[number]));
            to += ": ";
        }
        type.write(to, part);
        return true;
    });
    if (is_tuple && parts.size() == 1) to += ',';
    if (is_list || is_dict || is_tuple) to += is_list ? ']' : is_dict ? '}' : ')';
}

element_value element_type::decode(std::span<const std::byte> value) const {
    if (!fits(value)) return {std::monostate{}};
    switch (form) {
        case type_form::none: return {nullptr};
        case type_form::boolean: return {value[0] != std::byte{0}};
        case type_form::signed_integer: return {read_signed(value)};
        case type_form::unsigned_integer: return {read_unsigned(value)};
        case type_form::floating: return {read_floating(value)};
        case type_form::text: return {std::string(as_text(value))};
        case type_form::characters: return {std::string(until_zero(as_text(value)))};
        case type_form::msgpack: return decode_msgpack(value);
        case type_form::structure:
        case type_form::unknown: return {std::vector<std::byte>(value.begin(), value.end())};
        default: return decode_parts(value);
    }
}

element_value element_type::decode_parts(std::span<const std::byte> value) const {
    std::vector<element_value> values;
    each_part(value, [&](std::span<const std::byte> part, const element_type& type, std::size_t) {
        values.push_back(type.decode(part));
        return true;
    });
    if (form == type_form::variant) return std::move(values.front());
    if (form == type_form::optional)
        return values.empty() ? element_value{nullptr} : std::move(values.front());
    if (form != type_form::mapping && form != type_form::fields) return {std::move(values)};
    std::vector<element_pair> pairs;
    const std::size_t step = form == type_form::mapping ? 2 : 1;
    for (std::size_t i = 0; i < values.size(); i += step) {
        element_value key = step == 2 ? std::move(values[i]) : element_value{fields[i]};
        pairs.push_back({std::move(key), std::move(values[i + step - 1])});
    }
    return {std::move(pairs)};
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
