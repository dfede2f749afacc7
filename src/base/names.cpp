// SPDX-License-Identifier: BSL-1.0
#include "base/names.hpp"

#include <cstddef>
#include <cstdint>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::size_t segment_name_limit = 200;
constexpr std::size_t object_name_limit = 255;

bool has_control_character(std::string_view text) noexcept {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) return true;
    }
    return false;
}

std::string length_problem(std::string_view name, std::size_t limit) {
    if (name.empty()) return "a name has at least one byte";
    if (name.size() > limit)
        return "a name has at most " + std::to_string(limit) + " bytes, this one " +
               std::to_string(name.size());
    if (has_control_character(name)) return "a name has no control characters";
    return {};
}

}  // namespace

std::string segment_name_problem(std::string_view name) {
    if (std::string problem = length_problem(name, segment_name_limit); !problem.empty()) return problem;
    if (name.find('/') != std::string_view::npos) return "a name has no '/': it is no path";
    if (name.front() == '.' || name.front() == '-') return "a name does not begin with '.' or '-'";
    if (name.substr(0, 4) == "pid:") return "names that begin with 'pid:' are those of anonymous segments";
    return {};
}

std::string object_name_problem(std::string_view name) {
    if (std::string problem = length_problem(name, object_name_limit); !problem.empty()) return problem;
    if (name.find('[') != std::string_view::npos) return "a name has no '[': shmctl writes elements that way";
    if (!is_utf8(name)) return "a name is UTF-8";
    return {};
}

std::string printable_name(std::string_view name) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f) {
            text += c;
            continue;
        }
        text += "\\x";
        text += digits[byte >> 4];
        text += digits[byte & 0xf];
    }
    return text;
}

bool is_utf8(std::string_view text) noexcept {
    std::size_t i = 0;
    while (i < text.size()) {
        const auto lead = static_cast<unsigned char>(text[i]);
        std::size_t more = 0;
        std::uint32_t code = 0;
        std::uint32_t least = 0;
        if (lead < 0x80) {
            ++i;
            continue;
        }
        if (lead >= 0xc2 && lead <= 0xdf) more = 1, code = lead & 0x1fU, least = 0x80;
        else if (lead >= 0xe0 && lead <= 0xef) more = 2, code = lead & 0x0fU, least = 0x800;
        else if (lead >= 0xf0 && lead <= 0xf4) more = 3, code = lead & 0x07U, least = 0x10000;
        else return false;
        if (text.size() - i <= more) return false;
        for (std::size_t k = 1; k <= more; ++k) {
            const auto byte = static_cast<unsigned char>(text[i + k]);
            if ((byte & 0xc0) != 0x80) return false;
            code = code << 6 | (byte & 0x3fU);
        }
        if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
        i += more + 1;
    }
    return true;
}

}  // namespace cairn::inline CAIRN_ABI::detail
