// Floating-point multiply-accumulate: acc + a dot b, LANES (a power of two) products of E exponent and M
// fraction bits, each rounded to MS fraction bits, and a tree of adders that round after every sum.
module mac_float #(
    parameter int LANES = 16,
    parameter int E     = 8,
    parameter int M     = 23,
    parameter int MS    = 23
) (
    input  logic                     clk,
    input  logic                     first,
    input  logic [LANES*(E+M+1)-1:0] a,
    input  logic [LANES*(E+M+1)-1:0] b,
    output logic            [E+MS:0] acc
);
  // node i is the sum of nodes 2i and 2i + 1; the products are the last LANES nodes
  logic [2*LANES-1:0][E+MS:0] node;
  for (genvar i = 0; i < LANES; i++) begin : lane
    float_multiply #(.E(E), .M(M), .MO(MS)) u (
        .a(a[i*(E+M+1)+:E+M+1]), .b(b[i*(E+M+1)+:E+M+1]), .p(node[LANES+i])
    );
  end
  for (genvar i = 1; i < LANES; i++) begin : tree
    float_add #(.E(E), .M(MS)) u (.a(node[2*i]), .b(node[2*i+1]), .sum(node[i]));
  end
  logic [E+MS:0] start;
  assign start = first ? '0 : acc;
  float_add #(.E(E), .M(MS)) u_acc (.a(start), .b(node[1]), .sum(node[0]));
  always_ff @(posedge clk) acc <= node[0];
endmodule
