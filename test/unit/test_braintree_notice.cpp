// Webhooks of Braintree: forms, signatures (the vector of its own SDKs), and what a notification becomes.
#include "common/digest.hpp"
#include "relay/sources/braintree_notice.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::braintree;
using unit::assert_holds;
using unit::assert_text;

namespace {

const std::vector<Keys> integration{{"integration_public_key", "integration_private_key"}};
constexpr const char* challenge = "20f9f8ed05f77439fe955c977e4c8a53";
constexpr const char* challenge_hex = "d9b899556c966b3f06945ec21311865d35df3ce4";

void test_notice_challenge_is_answered_as_the_sdks_do(void**) {
  assert_text(answer_to(challenge, integration).value_or(""), "integration_public_key|" + std::string(challenge_hex));
  for (const char* bad : {"", "20f9f8ed05f77439fe9", "20f9f8ed05f77439fe955c977e4c8a53a",
                          "20F9F8ED05F77439FE955C977E4C8A53", "20f9f8ed05f77439fe955c977e4c8a5g"})
    assert_false(answer_to(bad, integration).has_value());
}

std::string by(const Keys& keys, const std::string& text) {
  return keys.public_key + "|" + hex(hmac_sha1(sha1(keys.private_key), text));
}

void test_notice_signature_of_any_of_our_keys_counts_and_no_other(void**) {
  const Keys old{"old", "o"}, fresh{"new", "n"}, others{"theirs", "t"};
  const std::vector<Keys> ours{old, fresh};
  const std::string payload = "YWJj\n";
  assert_true(is_signed(by(old, payload), payload, ours));
  assert_true(is_signed(by(others, payload) + "&" + by(fresh, payload), payload, ours));
  assert_true(is_signed(by(old, payload), "YWJj", ours));  // its line end was stripped on the way
  assert_false(is_signed(by(others, payload), payload, ours));
  assert_false(is_signed(by({"old", "t"}, payload), payload, ours));
  assert_false(is_signed(by(old, payload), "YWJk\n", ours));
  const std::string whole = by(old, payload);
  for (size_t size = 0; size < whole.size(); ++size) assert_false(is_signed(whole.substr(0, size), payload, ours));
  for (const char* bad : {"old", "old|", "|", "&", "old||", "new|&old|"}) assert_false(is_signed(bad, payload, ours));
}

void test_notice_form_is_decoded_and_a_bad_one_refused(void**) {
  const auto form = form_of("a=1+2%2B3&b=%26%3D&c=");
  assert_true(form.has_value());
  assert_text(form->at("a"), "1 2+3");
  assert_text(form->at("b"), "&=");
  assert_text(form->at("c"), "");
  for (const char* bad : {"", "a", "a=1&", "a=%", "a=%1", "a=%zz", "a=%+1", "a=1&a=2"})
    assert_false(form_of(bad).has_value());
}

std::string record(const std::string& xml, std::string& why) {
  const auto made = record_of(base64(xml), why);
  return made ? made->version + " " + made->body : "";
}

std::string digest_of(const std::string& xml) { return hex(sha256(xml).substr(0, 16)); }

void test_notice_becomes_a_record(void**) {
  std::string why;
  assert_text(
      record("<notification><timestamp type=\"datetime\">2026-03-01T00:00:00Z</timestamp><kind>local_payment_completed"
             "</kind><subject><local-payment><id>p1</id><n type=\"integer\">1</n></local-payment></subject>"
             "</notification>",
             why),
      "2026-03-01T00:00:00Z {\"object\":\"LocalPayment\",\"kind\":\"local_payment_completed\",\"timestamp\":"
      "\"2026-03-01T00:00:00Z\",\"id\":\"p1\",\"record\":{\"id\":\"p1\",\"n\":1}}");
  const std::string check =
      "<notification><timestamp>2026-03-01T00:00:00Z</timestamp><kind>check</kind><subject>"
      "<check type=\"boolean\">true</check></subject></notification>";
  assert_text(record(check, why),
              "2026-03-01T00:00:00Z {\"object\":\"Check\",\"kind\":\"check\",\"timestamp\":\"2026-03-01T00:00:00Z\","
              "\"id\":\"" +
                  digest_of(check) + "\",\"record\":true}");
}

// Kinds without an id must not share one key.
void test_notice_about_what_has_no_id_has_another_one(void**) {
  std::string why;
  const auto id_of = [&](const std::string& subject) {
    const std::string text = record("<notification><timestamp>2026-03-01T00:00:00Z</timestamp><kind>k</kind><subject>" +
                                        subject + "</subject></notification>",
                                    why);
    const size_t at = text.find("\"id\":\"") + 6;
    return text.substr(at, text.find('"', at) - at);
  };
  assert_text(id_of("<paypal-account><id>i</id><token>t</token></paypal-account>"), "i");
  assert_text(id_of("<paypal-account><token>t</token></paypal-account>"), "t");
  assert_text(id_of("<paypal-account><id nil=\"true\"/><token>t</token></paypal-account>"), "t");
  assert_text(id_of("<local-payment><payment-id>p</payment-id></local-payment>"), "p");
  assert_text(id_of("<a><merchant-public-id>m</merchant-public-id></a>"), "m");
  assert_true(!id_of("<partner-merchant><a>1</a></partner-merchant>").empty());
  assert_true(id_of("<partner-merchant><a>1</a></partner-merchant>") !=
              id_of("<partner-merchant><a>2</a></partner-merchant>"));
}

void test_notice_that_is_none_is_refused_without_what_it_holds(void**) {
  std::string why;
  assert_false(record_of("secret!", why).has_value());
  assert_text(why, "its payload is no base64");
  assert_false(record_of("abc", why).has_value());
  for (const char* bad : {"<secret>", "<!DOCTYPE a><notification/>", "<notification><kind>secret</kind></notification>",
                          "<other><timestamp>1</timestamp><kind>secret</kind><subject><a/></subject></other>", ""}) {
    why.clear();
    assert_text(record(bad, why), "");
    assert_holds(why, "its payload is no");
    unit::assert_lacks(why, "secret");
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_notice_challenge_is_answered_as_the_sdks_do),
      checked(test_notice_signature_of_any_of_our_keys_counts_and_no_other),
      checked(test_notice_form_is_decoded_and_a_bad_one_refused),
      checked(test_notice_becomes_a_record),
      checked(test_notice_about_what_has_no_id_has_another_one),
      checked(test_notice_that_is_none_is_refused_without_what_it_holds),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
