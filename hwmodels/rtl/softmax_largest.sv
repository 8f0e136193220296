// The largest of N numbers: softmax_step.tree, node i over the nodes 2i + 1 and 2i + 2.
module softmax_largest #(
    parameter int N = 64,
    parameter int W = 20
) (
    input  logic      [N*W-1:0] x,
    output logic signed [W-1:0] y
);
  for (genvar i = 0; i < 2 * N - 1; i++) begin : node
    logic signed [W-1:0] v;
    if (i >= N - 1) begin : leaf
      assign v = x[(i-N+1)*W+:W];
    end else begin : inner
      assign v = node[2*i+1].v > node[2*i+2].v ? node[2*i+1].v : node[2*i+2].v;
    end
  end
  assign y = node[0].v;
endmodule
