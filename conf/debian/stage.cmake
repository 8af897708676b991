# Run by cpack when the files of each package are in a folder of their own, before they are
# packed: permissions, compress, strip, find out what the libraries depend on.
if(NOT CPACK_GENERATOR STREQUAL DEB)
    return() # a plain archive, say
endif()
set(stage ${CPACK_TEMPORARY_DIRECTORY})
file(GLOB texts ${stage}/*/usr/share/man/man*/* ${stage}/*/usr/share/doc/*/changelog.Debian)
file(GLOB archives ${stage}/*/usr/lib/*/*.a)
file(GLOB libraries ${stage}/libostler*/usr/lib/*/*.so.*.*.*)
file(GLOB programs ${stage}/*/usr/sbin/*)
set(strip strip --remove-section=.comment --remove-section=.note)
execute_process(COMMAND find ${stage} -type d -exec chmod 755 {} + COMMAND_ERROR_IS_FATAL ANY) # whatever the umask
execute_process(COMMAND gzip -9n ${texts} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${strip} --strip-debug --enable-deterministic-archives ${archives} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${strip} --strip-unneeded ${libraries} ${programs} COMMAND_ERROR_IS_FATAL ANY)

# Were this left to cpack, it would also add scripts that run ldconfig.
set(package ${CPACK_COMPONENTS_ALL})
list(FILTER package INCLUDE REGEX "^libostler[0-9]+$")
file(GLOB folder ${stage}/${package}/usr/lib/*)
file(WRITE ${stage}/debian/control "") # has to be there
execute_process(COMMAND dpkg-shlibdeps -O --ignore-missing-info -l${folder} ${libraries} WORKING_DIRECTORY ${stage}
    OUTPUT_VARIABLE depends OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(REMOVE_RECURSE ${stage}/debian)
string(TOUPPER ${package} package)
string(REPLACE "shlibs:Depends=" "" CPACK_DEBIAN_${package}_PACKAGE_DEPENDS ${depends})
