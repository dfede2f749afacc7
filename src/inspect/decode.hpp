// decode.hpp - values of elements whose C++ type is not at hand, by the name that the object records for it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <cairn/inspect.hpp>

namespace cairn::inline v0::detail::inspecting {

enum class type_form {
    unknown,  // a user's codec: bytes
    boolean,
    signed_integer,
    unsigned_integer,
    floating,
    text,
    structure,  // struct[24,8]: bytes
    sequence    // vector<...>
};

/// "int64", "float32", "bool", "str", "vector<int64>", "struct[24,8]"; anything else is a type that we do not know.
struct element_type {
    explicit element_type(std::string_view recorded_name);

    std::string name;
    type_form form = type_form::unknown;
    std::uint64_t bytes = 0;             // of a value, where they are always the same; else 0
    std::shared_ptr<element_type> item;  // of a sequence

    /// These bytes are a value of the type, as far as that can be said.
    [[nodiscard]] bool fits(std::span<const std::byte> value) const noexcept;
    /// Python's notation; `?` for bytes that do not fit.
    void append_text(std::string& to, std::span<const std::byte> value) const;
    [[nodiscard]] element_value decode(std::span<const std::byte> value) const;
};

}  // namespace cairn::inline v0::detail::inspecting
