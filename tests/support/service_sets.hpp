// service_sets.hpp - the root of a manager's services without processes: each step of its life by hand.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "service/service_set.hpp"
#include "service/service_table.hpp"
#include <cairn/manager.hpp>

namespace cairn_test {

namespace stored = cairn::detail;

class bare_set {
public:
    static constexpr const char* name = "subject";

    explicit bare_set(const cairn::manager& m, std::string_view called = name)
        : manager_(m), root_(stored::service_set_access::make(m, called)) {}

    [[nodiscard]] const cairn::manager& manager() const noexcept { return manager_; }
    [[nodiscard]] stored::segment& in() const noexcept { return *root_.in; }
    [[nodiscard]] stored::root_slot& slot() const noexcept { return *root_.slot; }
    [[nodiscard]] stored::service_set_node& node() const {
        return *root_.in->at<stored::service_set_node>(root_.node);
    }
    [[nodiscard]] stored::service_entry& service(std::uint32_t index) const {
        return stored::service_at(*root_.in, node(), index);
    }
    [[nodiscard]] stored::service_place_entry& place(std::uint32_t service_index, std::uint32_t index) const {
        return stored::place_at(*root_.in, service(service_index), index);
    }
    [[nodiscard]] stored::root_transaction begin() const {
        return stored::root_transaction(*root_.in, *root_.slot, root_.generation);
    }

    // -- the manager

    /// `count` services: "service-0" of one worker, "service-1" of two, and so on. False where there is no room.
    bool run(std::uint64_t manager, std::uint32_t count) const {
        std::vector<std::string> names;
        for (std::uint32_t i = 0; i < count; ++i) names.push_back("service-" + std::to_string(i));
        std::vector<stored::service_description> all;
        for (std::uint32_t i = 0; i < count; ++i) all.push_back({names[i], i % 3, i + 1});
        auto tx = begin();
        try {
            stored::begin_set(tx, node(), manager, "program", all);
        } catch (const cairn::segment_full&) {
            return false;
        }
        return true;
    }
    void end() const {
        auto tx = begin();
        stored::end_set(tx, node());
    }

    // -- the supervisor

    void supervise(std::uint64_t identity) const {
        auto tx = begin();
        stored::set_supervisor(tx, node(), identity);
    }
    void set_generation(std::uint64_t generation) const {
        auto tx = begin();
        stored::set_generation(tx, node(), generation);
    }
    void store(std::uint32_t service_index, const stored::service_facts_to_store& facts) const {
        auto tx = begin();
        stored::store_service(tx, service(service_index), facts);
    }
    /// What is there, with `change` of it. False where there is no room.
    template <typename Change>
    bool change(std::uint32_t service_index, std::uint32_t index, const Change& change,
                bool has_given_up = false) const {
        auto tx = begin();
        stored::service_entry& of = service(service_index);
        stored::service_place_entry next{};
        if (index < of.place_capacity) next = place(service_index, index);
        change(next);
        try {
            stored::store_place(tx, of, index, next,
                                {.target = of.target, .has_given_up = has_given_up ? 1U : 0U});
        } catch (const cairn::segment_full&) {
            return false;
        }
        return true;
    }
    /// A worker is started, and ready.
    bool start(std::uint32_t service_index, std::uint32_t index, std::uint64_t identity) const {
        return change(service_index, index,
                      [&](stored::service_place_entry& to) { to.current = worker(identity); });
    }
    /// Its successor, in a reload.
    bool start_next(std::uint32_t service_index, std::uint32_t index, std::uint64_t identity) const {
        return change(service_index, index,
                      [&](stored::service_place_entry& to) { to.next = worker(identity); });
    }
    /// Which takes its place, and it is told to end.
    bool replace(std::uint32_t service_index, std::uint32_t index) const {
        return change(service_index, index, [&](stored::service_place_entry& to) {
            std::swap(to.current, to.next);
            to.next.stage = static_cast<std::uint64_t>(stored::service_stage::stopping);
        });
    }
    /// It has died, and is started again later.
    bool die(std::uint32_t service_index, std::uint32_t index, bool has_given_up = false) const {
        return change(
            service_index, index,
            [&](stored::service_place_entry& to) {
                to.current = {};
                ++to.restarts;
                ++to.failures;
                to.not_before = 12345 * to.failures;
            },
            has_given_up);
    }

    // -- whoever gives orders

    void order_target(std::uint32_t service_index, std::uint64_t target) const {
        auto tx = begin();
        stored::order_target(tx, node(), service_index, target);
    }
    void order_reload() const {
        auto tx = begin();
        stored::order_reload(tx, node(), all());
    }
    void order_restart() const {
        auto tx = begin();
        stored::order_restart(tx, node(), all());
    }
    void order_stop(stored::set_stop how) const {
        auto tx = begin();
        stored::order_stop(tx, node(), how);
    }

    // -- all of it

    /// Everything but where it lies. `neighbours`: steps of the generation that do not count.
    [[nodiscard]] std::string picture(std::uint64_t neighbours) const {
        const stored::service_set_node& of = node();
        std::string text = "run " + std::to_string(of.incarnation) + ", manager " +
                           std::to_string(of.manager) + " " + std::string(stored::program_of_manager(of)) +
                           ", supervisor " + std::to_string(of.supervisor) + ", orders " +
                           std::to_string(of.orders) + ", stop " + std::to_string(static_cast<int>(of.stop)) +
                           ", generation " + std::to_string(of.generation % neighbours) + '\n';
        for (std::uint32_t i = 0; i < of.service_count; ++i) {
            const stored::service_entry& each = service(i);
            text += std::string(stored::name_of_service(each)) + ": " + std::to_string(each.restart) +
                    ", target " + std::to_string(each.target) + " by " + std::to_string(each.target_orders) +
                    ", reloads " + std::to_string(each.reload_orders) + ", restarts " +
                    std::to_string(each.restart_orders) + ", restarted " + std::to_string(each.restarts) +
                    ", given up " + std::to_string(each.has_given_up) + '\n';
            for (std::uint32_t k = 0; k < each.place_capacity; ++k) {
                const stored::service_place_entry& at = place(i, k);
                text += "  " + picture_of(at.current) + " / " + picture_of(at.next) + ", " +
                        std::to_string(at.restarts) + ' ' + std::to_string(at.failures) + ' ' +
                        std::to_string(at.not_before) + '\n';
            }
        }
        return text;
    }
    /// Empty when all that must hold does.
    [[nodiscard]] std::string problem() const {
        stored::arena_audit audit(in(), slot());
        return stored::check_service_set(in(), node(), audit);
    }

private:
    [[nodiscard]] stored::service_process_entry worker(std::uint64_t identity) const {
        return {.identity = identity,
                .generation = node().generation,
                .started = 1000 + identity,
                .stage = static_cast<std::uint64_t>(stored::service_stage::ready),
                .last_beat = 0};
    }
    [[nodiscard]] std::vector<std::uint32_t> all() const {
        std::vector<std::uint32_t> indices(node().service_count);
        for (std::uint32_t i = 0; i < indices.size(); ++i) indices[i] = i;
        return indices;
    }
    [[nodiscard]] static std::string picture_of(const stored::service_process_entry& of) {
        return std::to_string(of.identity) + " of " + std::to_string(of.generation) + " since " +
               std::to_string(of.started) + " in " + std::to_string(of.stage);
    }

    cairn::manager manager_;
    stored::root_reference root_;
};

}  // namespace cairn_test
