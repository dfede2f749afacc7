// main.cpp - the main() of every test executable: doctest's, a guardian, a net under forked children, and a list of what has failed
// as the last thing printed: logs are often cut to their end.
//
// Keep this file free of Cairn's internals: tests/api links it against the library as users see it.
//
// SPDX-License-Identifier: BSL-1.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "guardian.hpp"

// ThreadSanitizer does not see the count in std::exception_ptr, which the C++ library keeps: it takes the last release for a race
// with whoever looked at the exception before.
extern "C" const char* __tsan_default_suppressions() {
    return "race:std::__exception_ptr::exception_ptr::_M_release\n";
}

namespace {

class failure_list final : public doctest::IReporter {
public:
    explicit failure_list(const doctest::ContextOptions& options) : options_(options) {}

    void test_run_end(const doctest::TestRunStats& /*stats*/) override {
        if (failures_.empty()) return;
        *options_.cout << "Failed:\n";
        for (const std::string& each : failures_) *options_.cout << each << '\n';
    }
    void test_case_start(const doctest::TestCaseData& data) override { case_ = &data; }
    void log_assert(const doctest::AssertData& data) override {
        if (!data.m_failed) return;
        note(data.m_file, data.m_line, data.m_threw ? data.m_exception.c_str() : data.m_decomp.c_str());
    }
    void test_case_exception(const doctest::TestCaseException& thrown) override {
        note(case_->m_file.c_str(), static_cast<int>(case_->m_line), thrown.error_string.c_str());
    }
    void log_message(const doctest::MessageData& data) override {
        if ((data.m_severity & doctest::assertType::is_warn) == 0)
            note(data.m_file, data.m_line, data.m_string.c_str());
    }
    void report_query(const doctest::QueryData& /*query*/) override {}
    void test_run_start() override {}
    void test_case_reenter(const doctest::TestCaseData& /*data*/) override {}
    void test_case_end(const doctest::CurrentTestCaseStats& /*stats*/) override {}
    void subcase_start(const doctest::SubcaseSignature& /*subcase*/) override {}
    void subcase_end() override {}
    void test_case_skipped(const doctest::TestCaseData& /*data*/) override {}

private:
    static constexpr std::size_t most = 40;

    void note(const char* file, int line, const char* what) {
        const std::lock_guard held(mutex_);
        if (failures_.size() == most) return;
        failures_.push_back("  " + std::string(file) + ":" + std::to_string(line) + ": " + case_->m_name +
                            ": " + what);
    }

    const doctest::ContextOptions& options_;
    const doctest::TestCaseData* case_ = nullptr;
    std::mutex mutex_;  // tests assert in threads, too
    std::vector<std::string> failures_;
};

REGISTER_LISTENER("failures", 1, failure_list);

}  // namespace

int main(int argc, char** argv) {
    const pid_t started_as = ::getpid();
    cairn_test::start_guardian();

    doctest::Context context;
    context.applyCommandLine(argc, argv);
    const int result = context.run();

    // A child that a test forked must end with _exit. One that came back here has run the rest of the tests a second
    // time; it says so, and leaves without flushing buffers and running destructors that belong to its parent.
    if (::getpid() != started_as) {
        static const char message[] = "a forked child came back to main(); end it with _exit\n";
        [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, message, sizeof message - 1);
        ::_exit(125);
    }
    return result;
}
