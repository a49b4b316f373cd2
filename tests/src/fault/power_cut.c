/* power_cut DIRECTORY: the ext4 file system there stops at once, and nothing more of it reaches the disk. What was
 * synced is on the disk, what was not is gone with the next mount: the kernel's own test of a power cut. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define SHUTDOWN _IOR('X', 125, uint32_t)
#define WITHOUT_FLUSHING_THE_LOG 2

int main(int count, char **arguments) {
    uint32_t how = WITHOUT_FLUSHING_THE_LOG;
    int fd = count == 2 ? open(arguments[1], O_RDONLY | O_DIRECTORY) : -1;
    if (fd < 0 || ioctl(fd, SHUTDOWN, &how)) {
        perror("power_cut");
        return 1;
    }
    return 0;
}
