// once.hpp - cairn::once: something that one process does, and all others find done (std::call_once).
//
//   m.once("schema", [&] { make_tables(); });      // find or create; when it returns, somebody has made them
//   auto o = m.once("schema");                     // the same, later
//   if (!o.done()) o.call([&] { make_tables(); });
//
// Stored        one once_node in its root's arena (detail/sync/sync_layout.hpp): a lock, and whether it is done.
// Handle        a once is a pointer: copies refer to the same one, and keep the mapping alive.
// Protected by  the lock, while an initializer runs. Who comes when it is done takes none.
// Commit        the store of `done`, after the initializer has returned.
// Death         of who runs it, at any instruction before that store: it has not been done, and the next one runs it again, from the beginning.
//               What it had done by then is there: an initializer can be killed anywhere, and has to stand that.
//
// Cost          done(), and call() of what is done: two loads. Else a lock and unlock.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe. Where it is not done,
//               call() throws would_deadlock in callbacks of other operations. All throw object_gone when it is removed.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <iosfwd>
#include <optional>
#include <string>
#include <utility>

#include <cairn/detail/base/standard.hpp>
#include <cairn/mutex.hpp>

namespace cairn::inline CAIRN_ABI {

class CAIRN_API once : public detail::object_handle {
public:
    using is_cairn_handle = void;
    static constexpr detail::object_kind kind = detail::object_kind::once;

    /// Calls fn(), if nobody has done so, or waits for who does. True when it was this one. Where fn throws, it has not been done: the
    /// exception comes through, and the next one calls its own.
    /// @throws would_deadlock  this thread is in the initializer, or in a callback of an operation
    /// @throws timeout_error   not within the manager's `.lock_timeout`; names who is at it
    template <typename Fn>
    bool call(Fn&& fn) const {
        if (done()) return false;
        begin();
        return finish(std::forward<Fn>(fn));
    }
    /// As call(), waiting for another no longer than that: nothing when the time was up first.
    template <typename Rep, typename Period, typename Fn>
    std::optional<bool> call_for(std::chrono::duration<Rep, Period> timeout, Fn&& fn) const {
        if (done()) return false;
        if (!begin_before(detail::wait_limit(timeout))) return std::nullopt;
        return finish(std::forward<Fn>(fn));
    }
    /// Whether it is done. Takes no lock.
    [[nodiscard]] bool done() const;

    /// "once(done)", "once(not done)"
    void append_repr_to(std::string& text) const;
    friend std::ostream& operator<<(std::ostream& to, const once& o) {
        o.write_to(to);
        return to;
    }
    friend bool operator==(const once& a, const once& b) noexcept { return a.same_object(b); }

    /// For the manager.
    explicit once(detail::root_reference root) : object_handle(root), lock_(std::move(root)) {}
    static std::string type_name() { return {}; }
    static void validate(const detail::segment& s, detail::segment_offset node);
    static detail::segment_offset create(detail::root_transaction& tx);

private:
    /// While fn runs; what it throws leaves it to the next one.
    class unlocks {
    public:
        explicit unlocks(const mutex& held) noexcept : held_(held) {}
        unlocks(const unlocks&) = delete;
        unlocks& operator=(const unlocks&) = delete;
        ~unlocks() {
            if (held_.is_owned()) held_.unlock();
        }

    private:
        const mutex& held_;
    };

    template <typename Fn>
    bool finish(Fn&& fn) const {
        const mutex held = lock_;
        const unlocks at_end(held);
        if (done()) return false;
        detail::call_with(std::forward<Fn>(fn));
        say_done();
        return true;
    }
    void begin() const;
    [[nodiscard]] bool begin_before(detail::steady_time deadline) const;
    void require_not_inside() const;
    void say_done() const;
    [[nodiscard]] detail::once_node& node_ref() const noexcept {
        return *in().template at<detail::once_node>(node());
    }
    void write_to(std::ostream& to) const;

    mutex lock_;  // the root's, as that of a mutex
};

}  // namespace cairn::inline CAIRN_ABI
