/* Makes every flush to the disk take longer by STELE_FLUSH_MICROSECONDS, so that
 * a fast disk behaves as a slow one. It is loaded before the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static void wait(void)
{
	const char *text = getenv("STELE_FLUSH_MICROSECONDS");
	long microseconds = text ? atol(text) : 0;
	struct timespec left = {microseconds / 1000000, microseconds % 1000000 * 1000};
	int before = errno;

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
	errno = before;
}

int fsync(int file)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	wait();
	return next(file);
}

int fdatasync(int file)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	wait();
	return next(file);
}
