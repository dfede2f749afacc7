#include "inspect/decode.hpp"

#include <charconv>
#include <cstring>

#include <cairn/repr.hpp>

namespace cairn::inline v0::detail::inspecting {

namespace {

constexpr int most_nested = 8;  // vector<vector<...>>: a name from a stranger must not recurse for ever

bool parse_number(std::string_view& text, std::uint64_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

// "64" of "int64": bytes of an arithmetic type, 0 when there is no such type.
std::uint64_t width_after(std::string_view name, std::string_view prefix) {
    if (!name.starts_with(prefix)) return 0;
    name.remove_prefix(prefix.size());
    std::uint64_t bits = 0;
    if (!parse_number(name, bits) || !name.empty()) return 0;
    return bits == 8 || bits == 16 || bits == 32 || bits == 64 ? bits / 8 : 0;
}

// struct[24,8]
std::uint64_t structure_bytes(std::string_view name) {
    constexpr std::string_view prefix = "struct[";
    if (!name.starts_with(prefix)) return 0;
    name.remove_prefix(prefix.size());
    std::uint64_t bytes = 0;
    std::uint64_t alignment = 0;
    if (!parse_number(name, bytes) || !name.starts_with(',')) return 0;
    name.remove_prefix(1);
    return parse_number(name, alignment) && name == "]" ? bytes : 0;
}

int nesting_of(std::string_view name) {
    int depth = 0;
    for (const char c : name) depth += c == '<' ? 1 : 0;
    return depth;
}

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

std::string_view as_text(std::span<const std::byte> value) {
    return {reinterpret_cast<const char*>(value.data()), value.size()};
}

}  // namespace

element_type::element_type(std::string_view recorded_name) : name(recorded_name) {
    if (name == "bool") form = type_form::boolean, bytes = 1;
    else if (name == "str") form = type_form::text;
    else if ((bytes = width_after(name, "int")) != 0) form = type_form::signed_integer;
    else if ((bytes = width_after(name, "uint")) != 0) form = type_form::unsigned_integer;
    else if ((bytes = structure_bytes(name)) != 0) form = type_form::structure;
    else if (name == "float32" || name == "float64")
        form = type_form::floating, bytes = name == "float32" ? 4 : 8;
    else if (name.starts_with("vector<") && name.ends_with('>') && nesting_of(name) <= most_nested) {
        item = std::make_shared<element_type>(std::string_view(name).substr(7, name.size() - 8));
        // Items of one size lie side by side; what others look like only their codec knows.
        if (item->bytes != 0) form = type_form::sequence;
    }
}

bool element_type::fits(std::span<const std::byte> value) const noexcept {
    switch (form) {
        case type_form::boolean:
            return value.size() == 1 && (value[0] == std::byte{0} || value[0] == std::byte{1});
        case type_form::signed_integer:
        case type_form::unsigned_integer:
        case type_form::floating:
        case type_form::structure: return value.size() == bytes;
        case type_form::sequence: return value.size() % item->bytes == 0;
        case type_form::text:
        case type_form::unknown: break;
    }
    return true;
}

void element_type::append_text(std::string& to, std::span<const std::byte> value) const {
    if (!fits(value)) {
        to += '?';
        return;
    }
    switch (form) {
        case type_form::boolean: return append_repr(to, value[0] != std::byte{0});
        case type_form::signed_integer: return append_repr(to, read_signed(value));
        case type_form::unsigned_integer: return append_repr(to, read_unsigned(value));
        case type_form::floating:
            return bytes == 4 ? append_repr(to, read_as<float>(value))
                              : append_repr(to, read_as<double>(value));
        case type_form::text: return append_repr(to, as_text(value));
        case type_form::structure:
        case type_form::unknown: return append_bytes(to, name, value.data(), value.size());
        case type_form::sequence: break;
    }
    to += '[';
    for (std::size_t i = 0; i < value.size(); i += item->bytes) {
        if (i != 0) to += ", ";
        item->append_text(to, value.subspan(i, item->bytes));
    }
    to += ']';
}

element_value element_type::decode(std::span<const std::byte> value) const {
    if (!fits(value)) return {std::monostate{}};
    switch (form) {
        case type_form::boolean: return {value[0] != std::byte{0}};
        case type_form::signed_integer: return {read_signed(value)};
        case type_form::unsigned_integer: return {read_unsigned(value)};
        case type_form::floating: {
            if (bytes == 8) return {read_as<double>(value)};
            // 0.1f is 0.1 to whoever reads it as text, not 0.10000000149011612.
            std::string shortest;
            append_repr(shortest, read_as<float>(value));
            double number = 0;
            std::from_chars(shortest.data(), shortest.data() + shortest.size(), number);
            return {number};
        }
        case type_form::text: return {std::string(as_text(value))};
        case type_form::structure:
        case type_form::unknown: return {std::vector<std::byte>(value.begin(), value.end())};
        case type_form::sequence: break;
    }
    std::vector<element_value> items;
    items.reserve(value.size() / item->bytes);
    for (std::size_t i = 0; i < value.size(); i += item->bytes)
        items.push_back(item->decode(value.subspan(i, item->bytes)));
    return {std::move(items)};
}

}  // namespace cairn::inline v0::detail::inspecting
