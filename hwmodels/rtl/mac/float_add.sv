// A floating-point sum, rounded half to even. Every code is a finite number: subnormals count as zero, and
// what is too large is the largest number. It rounds, so that synthesis gains nothing across its ports.
(* keep_hierarchy *)
module float_add #(
    parameter int E = 8,
    parameter int M = 23
) (
    input  logic [E+M:0] a,
    input  logic [E+M:0] b,
    output logic [E+M:0] sum
);
  localparam int W = M + 4;  // a significand with guard, round and sticky bit
  localparam int S = $clog2(W + 1);
  localparam int N = $clog2(W + 2);
  localparam logic signed [E+1:0] Top = (E + 2)'((1 << E) - 1);

  // the smaller one is shifted until the exponents are equal
  logic swap, greater_any, lesser_any, sticky;
  logic [E+M:0] greater, lesser;
  logic [E-1:0] distance;
  logic [S-1:0] shift;
  logic [W-1:0] greater_wide, lesser_wide, shifted;
  assign swap         = b[E+M-1:0] > a[E+M-1:0];
  assign greater      = swap ? b : a;
  assign lesser       = swap ? a : b;
  assign greater_any  = greater[M+:E] != '0;
  assign lesser_any   = lesser[M+:E] != '0;
  assign greater_wide = greater_any ? {1'b1, greater[M-1:0], 3'b0} : '0;
  assign lesser_wide  = lesser_any ? {1'b1, lesser[M-1:0], 3'b0} : '0;
  assign distance     = greater[M+:E] - lesser[M+:E];
  assign shift        = int'(distance) > W ? S'(W) : S'(distance);
  assign shifted      = lesser_wide >> shift;
  assign sticky       = |(lesser_wide & ~({W{1'b1}} << shift));

  logic [W:0] aligned, exact, normal;
  assign aligned = {1'b0, shifted[W-1:1], shifted[0] | sticky};
  assign exact   = {1'b0, greater_wide} + (greater[E+M] ^ lesser[E+M] ? -aligned : aligned);

  // the leading one comes to the top; rounding may carry into the exponent
  logic [N-1:0] length;
  logic signed [E+1:0] exponent, carried;
  logic [M-1:0] fraction;
  logic sign, up;
  bit_length #(.W(W + 1)) u_length (.x(exact), .n(length));
  assign normal   = exact << (N'(W + 1) - length);
  assign exponent = $signed({2'b0, greater[M+:E]}) + (E + 2)'(1) - (E + 2)'(N'(W + 1) - length);
  assign up       = normal[3] & (|normal[2:0] | normal[4]);
  assign {carried, fraction} = {exponent, normal[W-1:4]} + (E + M + 2)'(up);
  assign sign = exact == '0 ? a[E+M] & b[E+M] : greater[E+M];
  assign sum = exact == '0 || carried <= 0 ? {sign, (E + M)'(0)}
             : carried >= Top              ? {sign, {(E - 1) {1'b1}}, 1'b0, {M{1'b1}}}
             :                               {sign, carried[E-1:0], fraction};
  logic unused;
  assign unused = normal[W];
endmodule
