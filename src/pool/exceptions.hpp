// exceptions.hpp - an exception on its way from a worker to whoever waits for the result.
//
//   | code: 8 | category: 8 | bytes of type: 8 | bytes of name: 8 | bytes of text: 8 | type | name | text | bytes of a registered type |
//
// The type is as the compiler calls it, the name as people do. A type that is registered only where the exception arrives is made from
// its text.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// The exception that is being handled. Throws on what is none (pthread_exit).
class encoded_exception {
public:
    encoded_exception();
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

private:
    std::vector<std::byte> bytes_;
};

/// The same type where that is known here, else remote_error. `whose` is for the text of the latter: "worker 3 (pid 4711)".
std::exception_ptr decode_exception(std::span<const std::byte> bytes);

}  // namespace cairn::inline CAIRN_ABI::detail
