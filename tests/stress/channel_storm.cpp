// SPDX-License-Identifier: BSL-1.0
#include "channel_storm.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/opened_channel.hpp"
#include "token_values.hpp"
#include "wild_object.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn_test {

namespace {

using std::chrono::microseconds;

constexpr std::int64_t capacity = 100;

// As long as the other end needs to come along.
microseconds a_while(actor& by) {
    return microseconds(by.random(by.random(8) == 0 ? 5000 : 200));
}

// Under the channel's lock, in the middle of a change that is never committed.
template <typename T>
void hold_channel(const cairn::channel<T>& c, const std::function<void()>& fn) {
    const opened_channel<T> open(c);
    cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
    tx.begin_change();
    tx.store(open.node_ref().closed_nanoseconds, 1);
    fn();
}

// Whether it was this thread's to put or get. The ends are others' most of the time: whoever has one keeps it until it dies or
// lets go of it.
bool has_end(const std::function<void()>& use) {
    try {
        use();
    } catch (const cairn::invalid_state&) {
        return false;
    }
    return true;
}

template <typename T>
class channel_of_tokens : public storm_object {
public:
    channel_of_tokens(const cairn::manager& m, const std::string& name, unsigned object)
        : channel_(m.channel<T>(name, {.capacity = capacity})), object_(object) {}

    void operate(actor& by) const override {
        switch (by.random(12)) {
            case 0:
                by.perform(object_, deed::other, 0, 0, [&](note&) { channel_.release_producer(); });
                break;
            case 1:
                by.perform(object_, deed::other, 0, 0, [&](note&) { channel_.release_consumer(); });
                break;
            case 2: look(by); break;
            case 3: put(by, [&](const T& item) { return channel_.put_for(item, a_while(by)); }); break;
            case 4: take(by, [&] { return channel_.get_for(a_while(by)); }); break;
            case 5: take(by, [&] { return channel_.get_for(a_while(by)); }); break;
            case 6:
            case 7:
            case 8: put(by, [&](const T& item) { return channel_.try_put(item); }); break;
            default: take(by, [&] { return channel_.try_get(); }); break;
        }
    }
    void hold(actor& by, const std::function<void()>& fn) const override {
        by.perform(object_, deed::other, 0, 0, [&](note&) { hold_channel(channel_, fn); });
    }
    void touch() const override { static_cast<void>(channel_.snapshot()); }

    [[nodiscard]] std::string problem(const ledger& noted) const override {
        if (std::string broken = broken_channel(channel_); !broken.empty()) return broken;
        if (channel_.is_closed()) return "it is closed, and nobody did that";
        const std::vector<T> waiting = channel_.snapshot();
        if (channel_.size() != waiting.size()) return "it counts other items than it shows";
        std::vector<token> present;  // all who had an end are dead
        while (const std::optional<T> item = channel_.try_get()) present.push_back(token_in(*item));
        channel_.release_consumer();
        if (present.size() != waiting.size()) return "it gives out other items than it shows";
        for (std::size_t i = 0; i < present.size(); ++i)
            if (present[i] != token_in(waiting[i])) return "it gives out other items than it shows";
        if (std::string broken = broken_channel(channel_); !broken.empty()) return "emptied: " + broken;
        return noted.problem(object_, present, token_order::first_in_first_out);
    }
    void clear() const override {
        while (channel_.try_get()) {}
        channel_.release_consumer();
    }

private:
    template <typename Put>
    void put(actor& by, Put put_one) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::add, fresh, 1, [&](note& n) {
            bool is_in = false;
            static_cast<void>(has_end([&] { is_in = put_one(value_of<T>::make(fresh)); }));
            if (!is_in) n.what = static_cast<std::uint16_t>(deed::other);
        });
    }
    template <typename Get>
    void take(actor& by, Get get) const {
        by.perform(object_, deed::take, 0, 1, [&](note& n) {
            std::optional<T> item;
            static_cast<void>(has_end([&] { item = get(); }));
            if (item) n.result = token_in(*item);
            else n.count = 0;
        });
    }
    void look(actor& by) const {
        by.perform(object_, deed::other, 0, 0, [&](note&) {
            const std::vector<T> items = channel_.snapshot();
            if (items.size() > static_cast<std::size_t>(capacity))
                throw storm_failure("a reader sees more items than the channel may hold");
            std::map<std::uint32_t, token> last;
            for (const T& each : items) {
                const token t = token_in(each);
                token& before = last[actor_of(t)];
                if (t <= before) throw storm_failure("a reader sees items out of their order");
                before = t;
            }
        });
    }

    cairn::channel<T> channel_;
    unsigned object_;
};

// ... while others put and get.
class wild_channel : public wild_object<cairn::channel<std::string>> {
    using channel = cairn::channel<std::string>;

public:
    using wild_object::wild_object;

private:
    channel open(const cairn::manager& m, const std::string& name) const override {
        return m.channel<std::string>(name, {.capacity = capacity});
    }
    void hold_one(const channel& c, const std::function<void()>& fn) const override { hold_channel(c, fn); }
    std::string broken(const channel& c) const override { return broken_channel(c); }

    void operate_on(const channel& c, actor& by) const override {
        const std::string item = value_of<std::string>::make(by.random(100'000));
        const auto check_one = [](const std::optional<std::string>& got) {
            if (got) static_cast<void>(token_in(*got));
        };
        switch (by.random(20)) {
            case 0: c.close(); break;
            case 1: remove(); break;
            case 2: check(c.snapshot()); break;
            // Until the end of the round, if nobody comes.
            case 3:
                static_cast<void>(has_end([&] { static_cast<void>(c.put(item, by.end_of_round())); }));
                break;
            case 4: static_cast<void>(has_end([&] { check_one(c.get(by.end_of_round())); })); break;
            case 5: c.release_producer(); break;
            case 6: c.release_consumer(); break;
            case 7:
            case 8:
            case 9: static_cast<void>(has_end([&] { check_one(c.get_for(a_while(by))); })); break;
            case 10:
            case 11:
            case 12: static_cast<void>(has_end([&] { check_one(c.try_get()); })); break;
            default:
                static_cast<void>(has_end([&] { static_cast<void>(c.put_for(item, a_while(by))); }));
                break;
        }
    }
};

}  // namespace

std::vector<storm_row> channel_storm_rows() {
    return {row_of<channel_of_tokens<std::uint64_t>>("channel of uint64"),
            row_of<channel_of_tokens<std::string>>("channel of str"), row_of<wild_channel>("wild channel")};
}

}  // namespace cairn_test
