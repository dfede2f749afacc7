// wild_object.hpp - an object that is closed and removed while others use it. What is lost then nobody can tell: each value is
// whole, and nobody waits for what does not come.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "support/storm/storm.hpp"
#include "token_values.hpp"
#include <cairn/error.hpp>
#include <cairn/manager.hpp>

namespace cairn_test {

/// Of a kind that is closed for good, and then throws queue_closed.
template <typename Handle>
class wild_object : public storm_object {
public:
    wild_object(const cairn::manager& m, std::string name, unsigned object)
        : m_(m), name_(std::move(name)), object_(object) {}

    void operate(actor& by) const override {
        bool is_closed = false;
        by.perform(object_, deed::other, 0, 0, [&](note&) {
            try {
                operate_on(open(m_, name_), by);
            } catch (const cairn::queue_closed&) {
                is_closed = true;
                throw;
            }
        });
        // It does not open again.
        if (is_closed && by.random(3) == 0) by.perform(object_, deed::other, 0, 0, [&](note&) { remove(); });
    }
    void hold(actor& by, const std::function<void()>& fn) const override {
        by.perform(object_, deed::other, 0, 0, [&](note&) {
            if (const auto found = m_.find<Handle>(name_)) hold_one(*found, fn);
        });
    }
    void touch() const override {
        if (const auto found = m_.find<Handle>(name_)) static_cast<void>(found->snapshot());
    }
    [[nodiscard]] std::string problem(const ledger&) const override {
        const auto found = m_.find<Handle>(name_);
        if (!found) return {};
        check(found->snapshot());
        return broken(*found);
    }
    void clear() const override { remove(); }

protected:
    /// Finds or makes it.
    virtual Handle open(const cairn::manager& m, const std::string& name) const = 0;
    virtual void operate_on(const Handle& object, actor& by) const = 0;
    virtual void hold_one(const Handle& object, const std::function<void()>& fn) const = 0;
    virtual std::string broken(const Handle& object) const = 0;

    void remove() const { static_cast<void>(m_.remove(name_)); }
    static void check(const std::vector<std::string>& items) {
        for (const std::string& each : items) static_cast<void>(token_in(each));
    }

private:
    cairn::manager m_;
    std::string name_;
    unsigned object_;
};

}  // namespace cairn_test
