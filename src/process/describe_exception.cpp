// SPDX-License-Identifier: BSL-1.0
#include "process/describe_exception.hpp"

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>

#include <cxxabi.h>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr int most_causes = 8;  // chosen freely: a longer chain would not fit the text anyway

// Versions that libraries put into names for the linker, and nobody writes.
struct unwritten_part {
    std::string_view found;
    std::size_t kept_bytes;  // of its beginning
};
#define CAIRN_QUOTE_(name) #name
#define CAIRN_QUOTE(name) CAIRN_QUOTE_(name)
constexpr unwritten_part unwritten[] = {
    {"__cxx11::", 0}, {"[abi:cxx11]", 0}, {"cairn::" CAIRN_QUOTE(CAIRN_ABI) "::", 7}};

// std::throw_with_nested throws a class of its own, derived from the type that was meant.
constexpr std::string_view nested_prefix = "std::_Nested_exception<";

void append_as_written(bounded_text& to, std::string_view name) noexcept {
    while (!name.empty()) {
        std::size_t kept_bytes = name.size();  // up to the first part that nobody writes
        std::size_t skipped_bytes = 0;
        for (const unwritten_part& part : unwritten) {
            const std::size_t at = name.find(part.found);
            if (at == std::string_view::npos || at + part.kept_bytes >= kept_bytes) continue;
            kept_bytes = at + part.kept_bytes;
            skipped_bytes = part.found.size() - part.kept_bytes;
        }
        to << name.substr(0, kept_bytes);
        name.remove_prefix(kept_bytes + skipped_bytes);
    }
}

void append_type_name(bounded_text& to, const std::type_info& type) noexcept {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> demangled(
        abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
    std::string_view name = demangled != nullptr ? demangled.get() : type.name();
    if (name.starts_with(nested_prefix) && name.ends_with('>')) {
        name = name.substr(nested_prefix.size(), name.size() - nested_prefix.size() - 1);
        if (name.ends_with(' ')) name.remove_suffix(1);
    }
    append_as_written(to, name);
}

std::string_view what_of(const std::exception& e) noexcept {
    const char* const what = e.what();
    return what != nullptr ? what : "";
}

// The text of an exception's cause, its cause, and so on.
void append_causes(bounded_text& text, const std::exception& e, int depth) noexcept {
    if (depth == most_causes) return;
    try {
        std::rethrow_if_nested(e);
    } catch (const std::exception& cause) {
        text << "; caused by ";
        append_type_name(text, typeid(cause));
        text << ": " << what_of(cause);
        append_causes(text, cause, depth + 1);
    } catch (...) {
        text << "; caused by something that is no std::exception";
    }
}

// What is not a std::exception: its type, and its value where that is plain text or a number.
void append_unknown(bounded_text& text) noexcept {
    text << "a thrown ";
    if (const std::type_info* const type = abi::__cxa_current_exception_type(); type != nullptr) {
        append_type_name(text, *type);
    } else {
        text << "foreign exception";
    }
    const auto append_number = [&text](auto value) {
        char digits[24];
        const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
        text << ": " << std::string_view(digits, static_cast<std::size_t>(end - digits));
    };
    try {
        throw;
    } catch (const char* value) {
        if (value != nullptr) text << ": " << value;
    } catch (const std::string& value) {
        text << ": " << value;
    } catch (int value) {
        append_number(value);
    } catch (long value) {
        append_number(value);
    } catch (unsigned value) {
        append_number(value);
    } catch (...) {}
}

}  // namespace

void describe_current_exception(bounded_text& type, bounded_text& text) noexcept {
    try {
        throw;
    } catch (const std::exception& e) {
        append_type_name(type, typeid(e));
        text << what_of(e);
        append_causes(text, e, 0);
    } catch (...) {
        type << "unknown";
        append_unknown(text);
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
