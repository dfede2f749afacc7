// SPDX-License-Identifier: BSL-1.0
#include "cairn/namespace.hpp"

#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI {

std::string ns::type_of(std::string_view name) const {
    std::optional<detail::named_value> found = values_.get(name);
    if (!found) throw_missing("type_of", name);
    return std::move(found->type);
}

void ns::throw_missing(const char* operation, std::string_view name) const {
    this->throw_key(operation, "no name " + repr(std::string(name)));
}

void ns::throw_mismatch(std::string_view name, const std::string& found, const std::string& wanted) const {
    throw type_mismatch("get from " + detail::describe_object(in(), slot()) + ": " + repr(std::string(name)) +
                        " is " + found + ", asked for " + wanted);
}

void ns::append_repr_to(std::string& text) const {
    text += "Namespace(";
    bool is_first = true;
    for (const auto& [name, value] : values_.snapshot()) {
        if (!is_first) text += ", ";
        is_first = false;
        text += name + "=" + value.text;
    }
    text += ")";
}

void ns::write_to(std::ostream& to) const {
    std::string text;
    append_repr_to(text);
    detail::write(to, text);
}

}  // namespace cairn::inline CAIRN_ABI
