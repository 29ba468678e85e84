#include <errno.h>
#include <string.h>
#include "core_credential_file.h"

#define YEAR_LAST 9999

static bool number(const char *s, size_t len, uint64_t min, uint64_t max, int64_t *ret)
{
	uint64_t v;

	if (text_to_u64(s, len, min, max, &v) < 0)
		return false;
	*ret = (int64_t) v;
	return true;
}

static bool is_leap(int64_t y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Days since 1970-01-01 of a day of the proleptic Gregorian calendar, from 1970 on. */
static int64_t days(int64_t y, int64_t month, int64_t day)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	int64_t last = y - 1;

	return (y - 1970) * 365 + (last / 4 - last / 100 + last / 400) -
		(1969 / 4 - 1969 / 100 + 1969 / 400) + before[month - 1] +
		(month > 2 && is_leap(y)) + day - 1;
}

static bool is_day(int64_t y, int64_t month, int64_t day)
{
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return day <= lengths[month - 1] + (month == 2 && is_leap(y));
}

/* Z, +hh:mm or -hh:mm */
static bool offset(const char *s, size_t len, int64_t *ret_s)
{
	int64_t h, m;

	*ret_s = 0;
	if (len == 1)
		return *s == 'Z' || *s == 'z';
	if (len != 6 || (*s != '+' && *s != '-') || s[3] != ':' || !number(s + 1, 2, 0, 23, &h) ||
		!number(s + 4, 2, 0, 59, &m))
		return false;
	*ret_s = (h * 60 + m) * 60 * (*s == '-' ? -1 : 1);
	return true;
}

int credential_time(const char *s, size_t len, uint64_t *ret_ms)
{
	int64_t y, month, day, h, min, sec, shift, t;
	size_t fraction = 19;

	if (text_to_u64(s, len, 1, UINT64_MAX / 1000, ret_ms) == 0) {
		*ret_ms *= 1000;
		return 0;
	}
	if (len < 20 || s[4] != '-' || s[7] != '-' || !strchr("Tt ", s[10]) || s[13] != ':' ||
		s[16] != ':' || !number(s, 4, 1970, YEAR_LAST, &y) ||
		!number(s + 5, 2, 1, 12, &month) || !number(s + 8, 2, 1, 31, &day) ||
		!number(s + 11, 2, 0, 23, &h) || !number(s + 14, 2, 0, 59, &min) ||
		!number(s + 17, 2, 0, 60, &sec) || !is_day(y, month, day))
		return -EINVAL;
	if (s[fraction] == '.') /* cut: a credential is over a little early, not late */
		while (++fraction < len && s[fraction] >= '0' && s[fraction] <= '9')
			;
	if (!offset(s + fraction, len - fraction, &shift))
		return -EINVAL;
	t = days(y, month, day) * 86400 + h * 3600 + min * 60 + sec - shift;
	if (t <= 0)
		return -EINVAL;
	*ret_ms = (uint64_t) t * 1000;
	return 0;
}
