// remote_call.hpp - a call that another process makes: what of it travels, and how it comes back. The parts that depend on types.
//
//   input    | bytes of the callable, if it has any | arguments of the first item | of the second | ...
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/codec.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/executors/call.hpp>
#include <cairn/detail/executors/remote_run.hpp>
#include <cairn/outcome.hpp>
#include <cairn/result.hpp>

namespace cairn::inline CAIRN_ABI {

/// A callable whose captures travel by their bytes: by_value([scale](double x) { return scale * x; }).
template <typename Fn>
struct by_value {
    static_assert(
        std::is_trivially_copyable_v<Fn>,
        "cairn: by_value sends the captures by their bytes: they must be trivially copyable (no string, no "
        "vector; pass those as arguments)");
    Fn fn;

    explicit by_value(Fn callable) : fn(std::move(callable)) {}
    template <typename... Args>
        requires std::is_invocable_v<const Fn&, Args...>
    decltype(auto) operator()(Args&&... args) const {
        return detail::call_with(fn, std::forward<Args>(args)...);
    }
};

namespace detail {

template <typename T>
struct is_by_value : std::false_type {};
template <typename Fn>
struct is_by_value<by_value<Fn>> : std::true_type {};

/// What an argument is when it arrives: text as std::string, an element of a map as a pair that can be assigned.
template <typename T>
struct travelling_type {
    using type = std::conditional_t<std::is_same_v<T, const char*> || std::is_same_v<T, char*> ||
                                        std::is_same_v<T, std::string_view>,
                                    std::string, T>;
};
template <typename A, typename B>
struct travelling_type<std::pair<const A, B>> {
    using type = std::pair<A, B>;
};
template <typename T>
using travelling = typename travelling_type<std::decay_t<T>>::type;

/// Codec of handles as arguments: which object it is (manager.hpp). Elements of containers they are not.
template <handle_type Handle>
struct handle_address;

/// What an argument is encoded as.
template <typename T>
struct sent_as {
    using type = T;
    static const T& send(const T& value) noexcept { return value; }
    static T receive(T&& value) { return std::move(value); }
};
template <handle_type Handle>
struct sent_as<Handle> {
    using type = handle_address<Handle>;
    static type send(const Handle& handle) { return type(handle); }
    static Handle receive(type&& address) { return address.handle(); }
};

template <typename T>
struct is_sendable_future : std::false_type {};  // sent_future.hpp

template <typename T>
constexpr bool require_argument() {
    if constexpr (is_sendable_future<T>::value) {
        return is_sendable_future<T>::require_sendable();
    } else if constexpr (handle_type<T>) {
        constexpr bool is_known = requires { sizeof(handle_address<T>); };
        static_assert(is_known, "cairn: for handles as arguments of tasks, include <cairn/manager.hpp>");
        return is_known;
    } else {
        return require_element<T>();
    }
}

template <typename Fn>
constexpr bool is_code_address =
    std::is_member_pointer_v<Fn> || (std::is_pointer_v<Fn> && std::is_function_v<std::remove_pointer_t<Fn>>);

/// Whether it is made anew where it arrives.
template <typename Fn>
constexpr bool is_without_state = std::is_empty_v<Fn> && std::is_default_constructible_v<Fn>;

template <typename Fn>
constexpr bool can_travel_as_callable() {
    constexpr bool it_can = is_code_address<Fn> || is_without_state<Fn> || is_by_value<Fn>::value;
    static_assert(
        it_can,
        "cairn: a callable with captures does not travel to another process: pass a function, or a lambda "
        "without captures, and what it needs as arguments; or wrap it in cairn::by_value");
    return it_can;
}

template <typename Fn>
constexpr std::size_t callable_bytes = is_without_state<Fn> ? 0 : sizeof(Fn);

template <typename Fn>
Fn read_callable(std::span<const std::byte> input) {
    if constexpr (is_without_state<Fn>) {
        return Fn{};
    } else {
        if (input.size() < sizeof(Fn)) throw_undecodable("a callable", input.size());
        std::array<std::byte, sizeof(Fn)> bytes;
        std::memcpy(bytes.data(), input.data(), sizeof(Fn));
        return std::bit_cast<Fn>(bytes);
    }
}

template <typename R>
void send_result(remote_run& run, const R& result) {
    if constexpr (is_result<R>::value) {
        const std::span<const std::byte> bytes = result.bytes();
        std::byte* const to = run.add_value(bytes.size());
        if (!bytes.empty() && to != bytes.data()) std::memmove(to, bytes.data(), bytes.size());
    } else {
        codec<R>::encode(result, run.add_value(codec<R>::size(result)));
    }
}

template <typename R>
R receive_result(std::span<const std::byte> bytes, [[maybe_unused]] result_delivery* delivery) {
    if constexpr (is_result<R>::value) {
        using element = typename R::value_type;
        if (bytes.size() % sizeof(element) != 0) throw_undecodable("a result", bytes.size());
        return R(received_result_memory(bytes, alignof(element), delivery));
    } else {
        return codec<R>::decode(bytes);
    }
}

/// What a task is to its worker.
template <typename R, typename Fn, typename... Args>
struct remote_entry {
    static std::string what() { return "arguments of a task"; }

    static void run(remote_run& run) {
        part_reader reader(run.input().subspan(callable_bytes<Fn>), &what);
        for (std::uint32_t i = 0; i < run.first(); ++i) (reader.skip<typename sent_as<Args>::type>(), ...);
        std::optional<Fn> fn;
        while (run.may_go_on()) {
            const part_reader before = reader;
            try {
                run.begin_item();
                if (!fn) fn.emplace(read_callable<Fn>(run.input()));
                // In braces: from left to right.
                std::tuple<Args...> args{
                    sent_as<Args>::receive(reader.read<typename sent_as<Args>::type>())...};
                if constexpr (std::is_void_v<R>) {
                    static_cast<void>(std::apply(*fn, std::move(args)));
                    static_cast<void>(run.add_value(0));
                } else {
                    const R result = std::apply(*fn, std::move(args));
                    send_result(run, result);
                }
                run.end_item();
            } catch (...) {
                run.add_exception();
                reader = before;
                (reader.skip<typename sent_as<Args>::type>(), ...);
            }
        }
    }
};

/// The part of a task's state that travels. Of a local_state.
class CAIRN_API remote_part {
public:
    remote_part(task_entry to_run, const void* code, std::vector<std::byte> bytes,
                std::uint32_t count) noexcept
        : entry(to_run), address(code), input(std::move(bytes)), item_count(count) {}

    /// What it was to be called with.
    void drop() noexcept { std::vector<std::byte>().swap(input); }

    task_entry entry;
    const void*
        address;  // of the function it calls, null if it has none by itself: its code must be there, too
    std::vector<std::byte> input;
    std::uint32_t item_count;
    void (*fill)(remote_part& part) =
        nullptr;  // makes the input, where it follows from something that is to come
    // Once it has come back. Valid while it is decoded.
    std::span<const std::byte> frames;
    bool is_cut = false;                  // it was ended before all its items were done
    bool has_died = false;                // a result that was read says so: its worker has, in it
    result_delivery* delivery = nullptr;  // while it is decoded from where the worker has written it

    // Of the pool that has it.
    std::uint64_t record = 0;
    std::uint64_t id = 0;
    std::uint64_t token = 0;
    std::uint64_t timeout = 0;  // nanoseconds; 0: none
    std::uint64_t grace = 0;    // nanoseconds
};

/// The next result: its bytes, or null and `error`. Throws corrupt_segment where there is none.
CAIRN_API std::optional<std::span<const std::byte>>
next_result(std::span<const std::byte>& frames, const local_state& whose, std::exception_ptr& error);

/// Who encodes what a call needs.
template <typename Fn, typename... Args>
class input_writer {
public:
    explicit input_writer(const Fn& fn) : bytes_(callable_bytes<Fn>) {
        if constexpr (callable_bytes<Fn> != 0) std::memcpy(bytes_.data(), &fn, sizeof fn);
    }
    void add(const Args&... args) {
        add_sent(sent_as<Args>::send(args)...);
        ++count_;
    }
    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    std::vector<std::byte> take() && { return std::move(bytes_); }

private:
    template <typename... Sent>
    void add_sent(const Sent&... args) {
        const std::size_t size = (part_size(args) + ... + std::size_t{0});
        const std::size_t before = bytes_.size();
        bytes_.resize(before + size);
        std::byte* to = bytes_.data() + before;
        ((to = write_part(args, to)), ...);
        static_cast<void>(to);
    }

    std::vector<std::byte> bytes_;
    std::uint32_t count_ = 0;
};

template <typename Fn>
const void* address_of_code(const Fn& fn) noexcept {
    if constexpr (std::is_pointer_v<Fn>) return reinterpret_cast<const void*>(fn);
    else return nullptr;
}

/// A single call.
template <typename T, typename Part = remote_part>
class remote_state final : public value_state<T> {
public:
    explicit remote_state(Part part) : part_(std::move(part)) { this->be_remote(part_); }

private:
    void invoke() override {
        std::exception_ptr error;
        std::span<const std::byte> frames = part_.frames;
        const auto bytes = next_result(frames, *this, error);
        if (!bytes) std::rethrow_exception(error);
        if constexpr (std::is_void_v<T>) this->keep_result_of([] {});
        else this->keep_result_of([&]() -> T { return receive_result<T>(*bytes, part_.delivery); });
    }
    void drop_call() noexcept override { part_.drop(); }
    [[nodiscard]] bool is_repeatable() const noexcept override { return true; }

    Part part_;
};

/// Calls of many items, one after the other.
template <typename R>
class remote_chunk_state final : public value_state<std::vector<outcome<R>>> {
public:
    explicit remote_chunk_state(remote_part part) : part_(std::move(part)) { this->be_remote(part_); }

private:
    void invoke() override {
        this->keep_result_of([this] {
            std::vector<outcome<R>> all;
            all.reserve(part_.item_count);
            std::span<const std::byte> frames = part_.frames;
            for (std::uint32_t i = 0; i < part_.item_count; ++i) {
                std::exception_ptr error;
                const auto bytes = next_result(frames, *this, error);
                try {
                    if (!bytes) all.emplace_back(std::move(error));
                    else if constexpr (std::is_void_v<R>) all.emplace_back(std::monostate{});
                    else all.emplace_back(receive_result<R>(*bytes, part_.delivery));
                } catch (const std::exception&) {  // of a decode()
                    all.emplace_back(std::current_exception());
                }
            }
            return all;
        });
    }
    void drop_call() noexcept override { std::vector<std::byte>().swap(part_.input); }

    remote_part part_;
};

template <typename Fn, typename... Args>
constexpr bool require_travelling() {
    static_assert(can_travel_as_callable<Fn>());
    static_assert((require_argument<Args>() && ...),
                  "cairn: an argument of a task has to be an element type, or a handle");
    static_assert(std::is_invocable_v<Fn&, Args...>,
                  "cairn: the callable cannot be called with what these arguments are when they arrive");
    return true;
}

template <typename Fn, typename... Args>
using remote_result = std::remove_cvref_t<std::invoke_result_t<Fn&, Args...>>;

template <typename R>
constexpr bool require_travelling_result() {
    if constexpr (std::is_void_v<R> || is_result<R>::value) return true;
    else return require_element<R>();
}

}  // namespace detail

}  // namespace cairn::inline CAIRN_ABI
