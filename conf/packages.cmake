# cpack -G DEB: libostler0, libostler-dev and ostler, from any build tree of ours. They have
# the prefix /usr and Debian's folders, whatever the tree was configured for.
#
# What debhelper would do otherwise is here, in debian/stage.cmake and in three scripts.
if(NOT CMAKE_LIBRARY_ARCHITECTURE)
    return() # not a Debian
endif()
set(libraries libostler${PROJECT_VERSION_MAJOR})
set(packages ${libraries} libostler-dev ostler)
set(generated ${CMAKE_CURRENT_BINARY_DIR}/debian)

# The newest entry of the changelog is the one for this version.
file(STRINGS debian/changelog entry LIMIT_COUNT 1)
if(NOT entry MATCHES "^ostler \\((.*)-(.*)\\)" OR NOT CMAKE_MATCH_1 STREQUAL PROJECT_VERSION)
    message(FATAL_ERROR "conf/debian/changelog has no entry for ${PROJECT_VERSION}")
endif()
set(revision ${CMAKE_MATCH_2})

# Files. Nothing of this for cmake --install.
set(CMAKE_INSTALL_INCLUDEDIR include)
set(CMAKE_INSTALL_SBINDIR sbin)
set(CMAKE_INSTALL_MANDIR share/man)
set(CMAKE_INSTALL_DATADIR share)
set(program /usr/sbin/ostlerd)
set(configuration /etc/ostler/ostler.conf)
ostler_install_libraries(lib/${CMAKE_LIBRARY_ARCHITECTURE} /usr ${libraries} libostler-dev EXCLUDE_FROM_ALL)
ostler_install_programs(ostler EXCLUDE_FROM_ALL)
function(ostler_package_files package destination)
    install(FILES ${ARGN} DESTINATION ${destination} COMPONENT ${package} EXCLUDE_FROM_ALL)
endfunction()
foreach(unit ${units})
    cmake_path(GET unit STEM LAST_ONLY name)
    configure_file(${unit} ${generated}/${name} @ONLY)
    ostler_package_files(ostler lib/systemd/system ${generated}/${name})
endforeach()
ostler_package_files(ostler /etc/ostler ostler.conf)
ostler_package_files(ostler share/doc/ostler ${PROJECT_SOURCE_DIR}/README.md)
ostler_package_files(libostler-dev share/doc/libostler-dev/examples ${examples})
# gdb runs this when it loads the library.
file(CONFIGURE OUTPUT ${generated}/libostler.so.${PROJECT_VERSION}-gdb.py
    CONTENT "gdb.execute(\"source /usr/share/ostler/ostler-gdb.py\")\n")
ostler_package_files(libostler-dev share/gdb/auto-load/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}
    ${generated}/libostler.so.${PROJECT_VERSION}-gdb.py)
configure_file(${PROJECT_SOURCE_DIR}/LICENSE ${generated}/copyright COPYONLY)
configure_file(debian/changelog ${generated}/changelog.Debian COPYONLY)
foreach(package ${packages})
    ostler_package_files(${package} share/doc/${package} ${generated}/copyright ${generated}/changelog.Debian)
endforeach()

# What goes beside the files. ldconfig is run by a trigger.
file(CONFIGURE OUTPUT ${generated}/triggers CONTENT "activate-noawait ldconfig\n")
file(CONFIGURE OUTPUT ${generated}/conffiles CONTENT "/etc/ostler/ostler.conf\n")
foreach(library libostler libostler-daemon)
    string(APPEND shlibs "${library} ${PROJECT_VERSION_MAJOR} ${libraries} (>= ${PROJECT_VERSION})\n")
endforeach()
file(CONFIGURE OUTPUT ${generated}/shlibs CONTENT "${shlibs}")

# A package; more arguments are its control files.
function(ostler_package name section summary description)
    string(TOUPPER ${name} id)
    set(CPACK_DEBIAN_${id}_PACKAGE_NAME ${name} PARENT_SCOPE)
    set(CPACK_DEBIAN_${id}_PACKAGE_SECTION ${section} PARENT_SCOPE)
    set(CPACK_DEBIAN_${id}_PACKAGE_CONTROL_EXTRA "${ARGN}" PARENT_SCOPE)
    set(CPACK_DEBIAN_${id}_DESCRIPTION "${summary}
ostler runs servers: an address, a handler, and where the handler runs, which
is on the reactor, in threads, in processes or on fibers.
.
${description}" PARENT_SCOPE)
endfunction()

ostler_package(${libraries} libs "SocketServer for C, on libevent: shared libraries"
    "These are the libraries that programs link."
    ${generated}/shlibs ${generated}/triggers)
ostler_package(libostler-dev libdevel "SocketServer for C, on libevent: development files"
    "These are headers, static libraries, and files for pkg-config and CMake.")
ostler_package(ostler net "small network services: echo, discard, daytime, chargen, time"
    "This is ostlerd, which runs the services that its configuration names, and a\nprogram for each of them."
    ${generated}/conffiles ${CMAKE_CURRENT_SOURCE_DIR}/debian/postinst
    ${CMAKE_CURRENT_SOURCE_DIR}/debian/prerm ${CMAKE_CURRENT_SOURCE_DIR}/debian/postrm)
set(CPACK_DEBIAN_LIBOSTLER-DEV_PACKAGE_DEPENDS
    "${libraries} (= ${PROJECT_VERSION}-${revision}), libevent-dev, libconfig-dev, pkgconf | pkg-config")
set(CPACK_DEBIAN_OSTLER_PACKAGE_SHLIBDEPS ON)

set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL ${packages})
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SOURCE ostler)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${revision})
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "the ostler authors <ostler@ostler.invalid>")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each package has its own
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_SOURCE_DIR}/debian/stage.cmake)
include(CPack)
