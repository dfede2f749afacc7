// sent_future.hpp - a future that is done, as the argument of a task in another process: what it holds travels.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/pool/remote_call.hpp>
#include <cairn/executor.hpp>
#include <cairn/future.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// An exception as bytes, and back.
CAIRN_API std::string encode_failure(const std::exception_ptr& error);
CAIRN_API std::exception_ptr decode_failure(std::span<const std::byte> bytes);
[[noreturn]] CAIRN_API void throw_not_done();

/// Encoded: the value or the exception, and behind it one character that says which.
template <typename T>
struct sent_as<future<T>> {
    using type = std::string;

    static type send(const future<T>& sent) {
        if (!sent.done()) throw_not_done();
        if (sent.cancelled()) return {is_cancelled};
        if (const std::exception_ptr error = sent.exception(); error != nullptr)
            return encode_failure(error) + is_exception;
        std::string bytes;
        if constexpr (!std::is_void_v<T>) {
            const T value = sent.result();
            bytes.resize(codec<T>::size(value));
            codec<T>::encode(value, reinterpret_cast<std::byte*>(bytes.data()));
        }
        return bytes + is_value;
    }

    static future<T> receive(type&& bytes) {
        const char kind = bytes.empty() ? '\0' : bytes.back();
        if (kind != is_value && kind != is_exception && kind != is_cancelled)
            throw_undecodable("a future", bytes.size());
        const auto held = [bytes = std::move(bytes)]() -> T {
            const auto rest = std::as_bytes(std::span(bytes)).first(bytes.size() - 1);
            if (bytes.back() == is_exception) std::rethrow_exception(decode_failure(rest));
            if constexpr (!std::is_void_v<T>) return codec<T>::decode(rest);
        };
        const task_ptr task(
            new call_state<T, calls::once, std::remove_const_t<decltype(held)>>(std::in_place, held));
        if (kind == is_cancelled) task->cancel();
        else run_for_stranger(*task);
        return future_access::make<T>(state_ptr::sharing(task.get()));
    }

private:
    static constexpr char is_value = 'v';
    static constexpr char is_exception = 'e';
    static constexpr char is_cancelled = 'c';
};

template <typename T>
struct is_sendable_future<future<T>> : std::true_type {
    static constexpr bool require_sendable() {
        if constexpr (std::is_void_v<T>) {
            return true;
        } else {
            static_assert(std::is_copy_constructible_v<T>,
                          "cairn: a future as an argument of a task: its value has to be copyable");
            return require_element<T>();
        }
    }
};

/// What follows a future in another process: encoded when that is done.
template <typename T, typename Fn>
class following_part final : public remote_part {
public:
    following_part(task_entry to_run, const void* code, Fn fn, future<T> before)
        : remote_part(to_run, code, {}, 1), fn_(std::move(fn)), before_(std::move(before)) {
        fill = [](remote_part& part) {
            auto& self = static_cast<following_part&>(part);
            input_writer<Fn, future<T>> writer(self.fn_);
            writer.add(self.before_);
            self.input = std::move(writer).take();
            self.before_ = {};
        };
    }

    void drop() noexcept {
        remote_part::drop();
        before_ = {};
    }

private:
    Fn fn_;
    future<T> before_;
};

}  // namespace cairn::inline CAIRN_ABI::detail
