// SPDX-License-Identifier: BSL-1.0
#include "queue_storm.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/opened_queue.hpp"
#include "support/queue_picture.hpp"
#include "support/values.hpp"
#include "token_values.hpp"
#include "undone.hpp"
#include "wild_object.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn_test {

namespace {

using std::chrono::microseconds;

struct habits {
    std::int64_t maxsize = 0;
    std::uint32_t max_deliveries = 0;
    bool leases = false;
    std::size_t many = 1200;  // items; from here on more is taken than put
};

// As long as other processes need to come along and change something. Few sleep for longer, or until the end: when all do,
// nothing happens any more; but of those who do many are killed there.
microseconds a_while(actor& by) {
    return microseconds(by.random(by.random(8) == 0 ? 5000 : 200));
}
bool is_patient(actor& by) {
    return by.random(16) == 0;
}

// Under the queue's lock, in the middle of a change that is never committed.
template <typename Q>
void hold_queue(const Q& q, const std::function<void()>& fn) {
    const opened_queue<Q> open(q);
    cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
    cairn::detail::queue_node& node = open.node_ref();
    tx.begin_change();
    tx.store(node.head, node.head + 1);
    tx.store(node.leased_count, node.leased_count + 1);
    fn();
}

// ---- the order of what was never leased ------------------------------------------------------------------------------

// An order in which new tokens come anywhere.
struct scrambled_less {
    static std::uint64_t rank(std::uint64_t t) { return t * 0x9e3779b97f4a7c15; }
    bool operator()(long a, long b) const {
        return rank(static_cast<std::uint64_t>(a)) < rank(static_cast<std::uint64_t>(b));
    }
    bool operator()(const std::string& a, const std::string& b) const { return a < b; }
};

// Whether `next` may come right behind `item`: both put by one actor, or by any where the queue compares.
template <typename T>
bool may_follow(const cairn::queue<T>&, const T& item, const T& next) {
    return token_in(item) < token_in(next);
}
template <typename T>
bool may_follow(const cairn::lifo_queue<T>&, const T& item, const T& next) {
    return token_in(next) < token_in(item);
}
template <typename T, typename Compare>
bool may_follow(const cairn::priority_queue<T, Compare>&, const T& item, const T& next) {
    return Compare{}(item, next);
}

// Empty, or which item is where the queue's order has no place for it.
template <typename Q>
std::string out_of_order(const Q& q, std::span<const typename Q::value_type> items) {
    using T = typename Q::value_type;
    constexpr bool compares = Q::kind == cairn::detail::object_kind::priority_queue;
    std::map<std::uint32_t, const T*> last;
    for (const T& each : items) {
        const std::uint32_t group = compares ? 0 : actor_of(token_in(each));
        const T*& before = last[group];
        if (before != nullptr && !may_follow(q, *before, each))
            return "token " + std::to_string(token_in(each)) + " comes behind " +
                   std::to_string(token_in(*before));
        before = &each;
    }
    return {};
}

// ---- queues whose items are tokens ---------------------------------------------------------------------------------------

template <typename Q>
class queue_of_tokens : public storm_object {
    using T = typename Q::value_type;
    using lease_type = typename Q::lease_type;

public:
    queue_of_tokens(const cairn::manager& m, const std::string& name, unsigned object, const habits& with)
        : queue_(
              queue_kind<Q>::open(m, name, {.maxsize = with.maxsize, .max_deliveries = with.max_deliveries})),
          object_(object), habits_(with) {}

    void operate(actor& by) const override {
        switch (by.random(queue_.size() < habits_.many ? 20 : 11)) {
            case 0: take(by, [&] { return queue_.get_for(a_while(by)); }); break;
            case 1: take_several(by); break;
            case 2:
                if (is_patient(by)) take(by, [&] { return queue_.get(by.end_of_round()); });
                else take(by, [&] { return queue_.try_get(); });
                break;
            case 3:
            case 4: take(by, [&] { return queue_.try_get(); }); break;
            case 5:
            case 6:
            case 7:
            case 8:
                if (habits_.leases) lease_some(by);
                else take(by, [&] { return queue_.try_get(); });
                break;
            case 9: take_dead_letter(by); break;
            case 10: by.random(2) == 0 ? look(by) : transact(by); break;
            case 11: put(by, [&](const T& item) { return queue_.put_for(item, a_while(by)); }); break;
            case 12:
                if (is_patient(by))
                    put(by, [&](const T& item) { return queue_.put(item, by.end_of_round()); });
                else put(by, [&](const T& item) { return queue_.try_put(item); });
                break;
            case 13:
            case 14:
            case 15: put_several(by); break;
            default: put(by, [&](const T& item) { return queue_.try_put(item); }); break;
        }
    }
    void hold(actor& by, const std::function<void()>& fn) const override {
        by.perform(object_, deed::other, 0, 0, [&](note&) { hold_queue(queue_, fn); });
    }
    void touch() const override { static_cast<void>(queue_.join_for(std::chrono::seconds(0))); }

    [[nodiscard]] std::string problem(const ledger& noted) const override {
        if (std::string broken = broken_queue(queue_); !broken.empty()) return broken;
        const cairn::detail::queue_node& node = opened_queue<Q>(queue_).node_ref();
        const std::vector<T> waiting = queue_.snapshot();
        if (!habits_.leases && node.returned_count != 0) return "something came back that was never leased";
        if (std::string wrong = out_of_order(queue_, std::span(waiting).subspan(node.returned_count));
            !wrong.empty())
            return wrong;
        // Whoever finds it empty gets what the dead had on lease.
        std::vector<token> present = take_all(queue_);
        for (std::size_t i = 0; i < waiting.size(); ++i)
            if (i >= present.size() || present[i] != token_in(waiting[i]))
                return "it gives out other items than it shows";
        if (queue_.leased() != 0)
            return std::to_string(queue_.leased()) + " items stay with processes that are dead";

        // What the dead had taken counts as done, too, and as lost, until somebody says that it is done after all.
        std::uint64_t done = node.done - node.lost;
        if (const auto dead = queue_.dead_letters()) {
            done -= opened_queue(*dead).node_ref().tail;  // each of these counts as done
            for (const token t : take_all(*dead)) present.push_back(t);
        }
        const ledger::finished_count finished = noted.finished(object_);
        if (done < finished.least || done > finished.most)
            return std::to_string(done) + " items count as done, expected " + std::to_string(finished.least) +
                   " to " + std::to_string(finished.most);
        if (std::string broken = broken_queue(queue_); !broken.empty()) return "emptied: " + broken;
        return noted.problem(object_, present, order());
    }
    void clear() const override { take_all(queue_); }

private:
    // Leased items come back out of turn.
    [[nodiscard]] token_order order() const {
        return std::is_same_v<Q, cairn::queue<T>> && !habits_.leases ? token_order::first_in_first_out
                                                                     : token_order::none;
    }
    template <typename Any>
    static std::vector<token> take_all(const Any& q) {
        std::vector<token> tokens;
        while (const auto item = q.try_get()) tokens.push_back(token_in(*item));
        return tokens;
    }

    // ---- putting ---------------------------------------------------------------------------------------------------

    template <typename Put>
    void put(actor& by, Put put_one) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::add, fresh, 1, [&](note& n) {
            if (!put_one(value_of<T>::make(fresh))) n.what = static_cast<std::uint16_t>(deed::other);
        });
    }
    // As one: no more than it can hold.
    void put_several(actor& by) const {
        std::uint64_t most = 40;
        if (habits_.maxsize != 0) {
            most = static_cast<std::uint64_t>(habits_.maxsize);
            if (!is_patient(by)) most -= std::min<std::uint64_t>(most, queue_.size());
        }
        if (most == 0) return;
        const std::uint64_t count = 1 + by.random(most);
        const token fresh = by.new_tokens(count);
        by.perform(object_, deed::add, fresh, static_cast<std::uint16_t>(count), [&](note& n) {
            const std::size_t put = queue_.put_many(values_from<T>(fresh, count), by.end_of_round());
            if (put == 0) n.what = static_cast<std::uint16_t>(deed::other);
            else if (put != count) throw storm_failure("a part of a batch was put");
        });
    }

    // ---- taking ----------------------------------------------------------------------------------------------------

    template <typename Get>
    void take(actor& by, Get get) const {
        bool has_any = false;
        by.perform(object_, deed::take, 0, 1, [&](note& n) {
            const std::optional<T> item = get();
            has_any = item.has_value();
            if (has_any) n.result = token_in(*item);
            else n.count = 0;
        });
        if (has_any) finish(by, 1);
    }
    void take_several(actor& by) const {
        if (queue_.empty() && !is_patient(by)) return;
        const std::uint64_t most = 1 + by.random(30);
        std::vector<token> tokens;
        by.perform(object_, deed::take, 0, static_cast<std::uint16_t>(most), [&](note& n) {
            for (const T& each : queue_.get_many(most, by.end_of_round())) tokens.push_back(token_in(each));
            if (tokens.size() > most) throw storm_failure("a batch is larger than was asked for");
            by.got(n, tokens);
        });
        finish(by, tokens.size());
    }
    // An item for another one, as one step, or nothing at all.
    void transact(actor& by) const {
        const token fresh = by.new_tokens();
        by.perform(object_, deed::replace, fresh, 1, [&](note& n) {
            try {
                queue_.transaction([&](const Q& tx) {
                    const std::optional<T> item = tx.try_get();
                    // What came back from leases makes it fuller than full.
                    if (!item || !tx.try_put(value_of<T>::make(fresh)) || by.random(4) == 0) throw undone();
                    n.result = token_in(*item);
                });
            } catch (const undone&) {
                n.what = static_cast<std::uint16_t>(deed::other);
            }
        });
    }
    void take_dead_letter(actor& by) const {
        if (const auto dead = queue_.dead_letters()) {
            by.perform(object_, deed::take, 0, 1, [&](note& n) {
                if (const std::optional<T> item = dead->try_get()) n.result = token_in(*item);
                else n.count = 0;
            });
        } else {
            take(by, [&] { return queue_.try_get(); });
        }
    }
    // Not all of them: some are never dealt with.
    void finish(actor& by, std::size_t count) const {
        for (; count != 0 && by.random(4) != 0; --count)
            by.perform(object_, deed::finish, 0, 1, [&](note&) { queue_.task_done(); });
    }

    // ---- leasing ---------------------------------------------------------------------------------------------------

    void lease_some(actor& by) const {
        std::vector<lease_type> held;
        for (std::uint64_t wanted = 1 + by.random(3); wanted != 0; --wanted) {
            by.perform(object_, deed::other, 0, 0, [&](note&) {
                std::optional<lease_type> one =
                    by.random(8) == 0 ? queue_.lease_for(a_while(by)) : queue_.try_lease();
                if (!one) return;
                static_cast<void>(token_in(one->get()));
                held.push_back(std::move(*one));
            });
        }
        // Many are to die over their work.
        if (by.random(4) == 0) std::this_thread::sleep_for(a_while(by));
        for (lease_type& each : held) {
            switch (by.random(5)) {
                case 0: by.perform(object_, deed::other, 0, 0, [&](note&) { each.release(); }); break;
                case 1: break;  // the end of the guard does it
                default:
                    by.perform(object_, deed::acknowledge, 0, 1, [&](note& n) {
                        n.result = token_in(each.get());
                        each.ack();
                    });
            }
        }
    }

    // ---- looking ---------------------------------------------------------------------------------------------------

    void look(actor& by) const {
        by.perform(object_, deed::other, 0, 0, [&](note&) {
            if (by.random(4) == 0) {
                static_cast<void>(queue_.join_for(a_while(by)));
                return;
            }
            const std::vector<T> items = queue_.snapshot();
            for (const T& each : items) static_cast<void>(token_in(each));
            if (habits_.leases) return;
            if (const std::string wrong = out_of_order(queue_, items); !wrong.empty())
                throw storm_failure("a reader sees: " + wrong);
            if (habits_.maxsize != 0 && items.size() > static_cast<std::size_t>(habits_.maxsize))
                throw storm_failure("a reader sees more items than the queue may hold");
        });
    }

    Q queue_;
    unsigned object_;
    habits habits_;
};

template <typename Q>
storm_row row(const std::string& name, const habits& with) {
    return {name, [name, with](const cairn::manager& m, unsigned object) {
                return std::make_unique<queue_of_tokens<Q>>(m, name, object, with);
            }};
}

// ---- a queue that comes and goes ---------------------------------------------------------------------------------------

// ... while others sleep in it and have its items on lease.
class wild_queue : public wild_object<cairn::queue<std::string>> {
    using queue = cairn::queue<std::string>;
    static constexpr std::int64_t maxsize = 25;

public:
    using wild_object::wild_object;

private:
    queue open(const cairn::manager& m, const std::string& name) const override {
        return m.queue<std::string>(name, {.maxsize = maxsize, .max_deliveries = 2});
    }
    void hold_one(const queue& q, const std::function<void()>& fn) const override { hold_queue(q, fn); }
    std::string broken(const queue& q) const override { return broken_queue(q); }

    void operate_on(const queue& q, actor& by) const override {
        const std::uint64_t number = by.random(100'000);
        switch (by.random(24)) {
            case 0:
                if (by.random(4) == 0) q.close();
                else q.shutdown(by.random(2) == 0);
                break;
            case 1: remove(); break;
            case 2:
            case 3:
                if (is_patient(by)) take_and_finish(q, q.get(by.end_of_round()));
                else take_and_finish(q, q.try_get());
                break;
            case 4:
            case 5: take_and_finish(q, q.get_for(a_while(by))); break;
            case 6:
            case 7:
                if (!q.empty() || is_patient(by)) check(q.get_many(1 + by.random(20), by.end_of_round()));
                break;
            case 8:
            case 9:
            case 10: lease_one(q, by); break;
            case 11:
                if (is_patient(by)) static_cast<void>(q.join(by.end_of_round()));
                break;
            case 12: check(q.snapshot()); break;
            case 13:
            case 14:
            case 15: put_several(q, by); break;
            case 16:
            case 17: static_cast<void>(q.try_put(value_of<std::string>::make(number))); break;
            default: static_cast<void>(q.put_for(value_of<std::string>::make(number), a_while(by))); break;
        }
    }
    static void put_several(const queue& q, actor& by) {
        const std::uint64_t room =
            is_patient(by) ? 2 * maxsize : maxsize - std::min<std::uint64_t>(maxsize, q.size());
        static_cast<void>(
            q.put_many(values_from<std::string>(by.random(100'000), by.random(room + 1)), by.end_of_round()));
    }
    static void take_and_finish(const queue& q, const std::optional<std::string>& item) {
        if (!item) return;
        static_cast<void>(token_in(*item));
        q.task_done();
    }
    static void lease_one(const queue& q, actor& by) {
        auto item = q.lease_for(a_while(by));
        if (!item) return;
        static_cast<void>(token_in(item->get()));
        if (by.random(4) == 0) std::this_thread::sleep_for(a_while(by));
        if (by.random(3) == 0) item->ack();
        else if (by.random(2) == 0) item->release();
    }
};

}  // namespace

std::vector<storm_row> queue_storm_rows() {
    return {row<cairn::queue<long>>("bounded queue of int64", {.maxsize = 30}),
            row<cairn::queue<std::string>>("queue of str", {}),
            row<cairn::queue<std::string>>("leased queue of str", {.leases = true, .many = 60}),
            row<cairn::queue<long>>("leased queue of int64, with dead letters",
                                    {.maxsize = 50, .max_deliveries = 2, .leases = true}),
            row<cairn::queue<std::string>>("leased queue of str, with dead letters",
                                           {.maxsize = 50, .max_deliveries = 2, .leases = true}),
            row<cairn::lifo_queue<std::string>>("leased lifo queue of str", {.leases = true, .many = 60}),
            row<cairn::priority_queue<long, scrambled_less>>("leased priority queue of int64",
                                                             {.leases = true, .many = 100}),
            row<cairn::priority_queue<std::string, scrambled_less>>("bounded priority queue of str",
                                                                    {.maxsize = 200}),
            row_of<wild_queue>("wild queue")};
}

}  // namespace cairn_test
