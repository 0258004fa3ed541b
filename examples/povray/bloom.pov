// A flower of beads on dark water: they rise and fall in a wave while the camera goes once around.
// clock runs from 0 to 1; the last frame leads into the first.
#version 3.7;
global_settings { assumed_gamma 1.0 max_trace_level 6 }

#declare Beads = 340;
#declare Golden = 137.50776;  // degrees from one bead to the next
#declare Turn = 2 * pi * clock;

camera {
  location <10.4 * sin(Turn), 3.1 + 0.9 * sin(Turn + 1), -10.4 * cos(Turn)>
  look_at <0, 0.85, 0>
  right x * image_width / image_height
  angle 50
}

light_source { <-14, 11, -9> color rgb <1.00, 0.86, 0.68> * 1.25
  area_light <2, 0, 0>, <0, 2, 0>, 4, 4 adaptive 1 jitter }
light_source { <12, 7, 14> color rgb <0.30, 0.42, 0.75> shadowless }

sky_sphere { pigment { gradient y color_map {
  [0.00 color rgb <0.98, 0.56, 0.36>]
  [0.10 color rgb <0.62, 0.34, 0.44>]
  [0.35 color rgb <0.16, 0.16, 0.36>]
  [1.00 color rgb <0.02, 0.03, 0.10>] } } }

plane { y, 0
  pigment { color rgb <0.010, 0.016, 0.030> }
  normal { spherical normal_map {  // smooth far away, where ripples would only be noise
    [0.15 ripples 0.0]
    [0.75 ripples 0.06 frequency 0.9 phase -3 * clock turbulence 0.15 scale 1 / 24] }
    scale 24 }
  finish { ambient 0 diffuse 0.4 specular 0.6 roughness 0.002
    reflection { 0.25, 0.92 fresnel on } conserve_energy }
  interior { ior 1.33 } }

// A hue from 0 to 1 as a colour: red, green, blue and back.
#macro Hue(H)
  <0.5 + 0.5 * cos(2 * pi * H), 0.5 + 0.5 * cos(2 * pi * (H - 0.33)),
       0.5 + 0.5 * cos(2 * pi * (H - 0.67))>
#end

#for (N, 4, Beads)
  #local Away = sqrt(N / Beads);
  #local Wave = 0.5 + 0.5 * cos(2 * pi * (1.6 * Away - 2 * clock));
  sphere { <3.9 * Away, 0.16 + 1.15 * Wave * (1.12 - Away), 0>, 0.07 + 0.125 * Away
    rotate y * N * Golden
    pigment { rgb 0.75 * Hue(1.12 - 0.52 * Away + 0.05 * Wave) + 0.06 }
    finish { ambient 0.03 diffuse 0.62 specular 0.7 roughness 0.012
      reflection { 0.03, 0.45 fresnel on } conserve_energy }
    interior { ior 1.6 } }
#end

// A drop of glass over the middle.
sphere { <0, 2.05 + 0.12 * sin(2 * Turn), 0>, 0.62
  pigment { color rgbt <0.96, 0.98, 1.00, 0.98> }
  finish { ambient 0 diffuse 0 specular 1 roughness 0.001 reflection { 0.02, 1 fresnel on } conserve_energy }
  interior { ior 1.45 } }
