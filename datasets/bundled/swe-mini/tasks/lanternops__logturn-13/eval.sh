#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout e0afdfadcdf781367b47851001f5e12a473ea522 -- tests/test_logturn.sh
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_logturn.sh b/tests/test_logturn.sh
index 2ea75e4..b8fd91f 100644
--- a/tests/test_logturn.sh
+++ b/tests/test_logturn.sh
@@ -26,6 +26,38 @@ test_logturn_settings_of_a_section() {
   assert_equal "$(logturn turn.conf)" 'rotating a.log'
 }
 
+test_logturn_sections_do_not_share_compress() {
+  big a.log b.log
+  printf 'size 1k\n[a.log]\ncompress yes\n[b.log]\n' >turn.conf
+  logturn turn.conf
+  assert_equal "$(echo [ab].log.1*)" 'a.log.1.gz b.log.1'
+}
+
+test_logturn_sections_do_not_share_size() {
+  big a.log b.log c.log
+  printf '[a.log]\nsize 1k\n[b.log]\n[c.log]\nsize 2k\n' >turn.conf
+  assert_equal "$(logturn turn.conf)" $'rotating a.log\nrotating c.log'
+}
+
+test_logturn_sections_do_not_share_keep() {
+  local n
+  printf 'size 1\nkeep 5\n[a.log]\nkeep 1\n[b.log]\n[c.log]\nkeep 2\n' >turn.conf
+  for n in 1 2 3; do
+    big a.log b.log c.log
+    logturn turn.conf
+  done
+  assert_equal "$(echo a.log.*)" 'a.log.1'
+  assert_equal "$(echo b.log.*)" 'b.log.1 b.log.2 b.log.3'
+  assert_equal "$(echo c.log.*)" 'c.log.1 c.log.2'
+}
+
+test_logturn_defaults_hold_for_later_sections() {
+  big a.log b.log c.log
+  printf 'size 1k\ncompress yes\n[a.log]\ncompress no\n[b.log]\nsize 9k\n[c.log]\n' >turn.conf
+  assert_equal "$(logturn turn.conf)" $'rotating a.log\nrotating c.log'
+  assert_equal "$(echo [abc].log.1*)" 'a.log.1 c.log.1.gz'
+}
+
 test_logturn_without_matching_logs() {
   printf '[*.log]\n' >turn.conf
   assert_equal "$(logturn turn.conf)" ''
EOF_114329324912
: '>>>>> Start Test Output'
bash tests/run.sh
: '>>>>> End Test Output'
