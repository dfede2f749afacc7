// SPDX-License-Identifier: BSL-1.0
#include "cairn/codec.hpp"

#include <algorithm>

#include <cairn/detail/base/words.hpp>

namespace cairn::inline CAIRN_ABI::detail {

bool read_length(std::span<const std::byte>& bytes, std::uint64_t& length) noexcept {
    length = 0;
    // Ten groups of seven bits hold 64; of the tenth only one bit does.
    for (std::size_t i = 0; i < bytes.size() && i < 10; ++i) {
        const auto group = std::to_integer<std::uint64_t>(bytes[i]);
        if (i == 9 && group > 1) return false;
        length |= (group & 0x7fU) << (7 * i);
        if (group >= 0x80) continue;
        if (i > 0 && group == 0) return false;  // one value, one encoding
        bytes = bytes.subspan(i + 1);
        return length <= bytes.size();
    }
    return false;
}

void field_names::add_at(std::string_view name, const std::string& type, std::size_t offset,
                         std::size_t bytes, std::size_t alignment) {
    add(name, type, true);
    if (offset != round_up(end_, alignment)) fields_ += " @" + std::to_string(offset);
    end_ = offset + bytes;
    alignment_ = std::max(alignment_, alignment);
}

void field_names::add(std::string_view name, const std::string& type, bool looks_plain) {
    if (!fields_.empty()) fields_ += ", ";
    fields_ += name;
    fields_ += ": ";
    fields_ += type;
    all_look_plain_ = all_look_plain_ && looks_plain;
}

std::string field_names::of_bytes(std::size_t bytes, std::size_t alignment) const {
    std::string text = type_;
    if (bytes != round_up(end_, alignment_) || alignment != alignment_)
        text.append("[")
            .append(std::to_string(bytes))
            .append(",")
            .append(std::to_string(alignment))
            .append("]");
    return text.append(" {").append(fields_).append("}");
}

std::string field_names::of_parts() const {
    return type_ + (all_look_plain_ ? " packed {" : " {") + fields_ + "}";
}

void throw_undecodable(const std::string& type, std::size_t bytes) {
    throw corrupt_segment("decode " + type + ": " + std::to_string(bytes) +
                          " bytes are no value of that type");
}

void throw_valueless() {
    throw invalid_argument(
        "encode variant: it holds no value, since an exception was thrown while it was given one");
}

}  // namespace cairn::inline CAIRN_ABI::detail
